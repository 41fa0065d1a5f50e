"""Compares our image networks with PyTorch's, with the same random weights."""

from collections.abc import Iterable, Mapping
import copy
import pathlib
from typing import Any

from flax import linen as nn
from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import torch

from abaw_jax.porting.layouts import state_dicts

STATISTICS = 'batch_stats'


def randomise(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
  """Returns the model with random weights and running statistics."""
  torch.manual_seed(seed)
  for name, tensor in model.state_dict().items():
    leaf = name.split('.')[-1]
    if leaf == 'running_var':
      tensor.uniform_(0.5, 2.0)
    elif name == 'features.weight':
      tensor.fill_(1.0)  # IResNet keeps this scale at 1
    elif tensor.ndim > 1:
      torch.nn.init.kaiming_normal_(tensor)
    elif leaf == 'weight':
      tensor.uniform_(0.25, 1.25)
    elif tensor.is_floating_point():
      tensor.normal_(0.0, 0.5)
  return model


def images(size: int, count: int = 8) -> jax.Array:
  """Returns normalised images [b, h, w, 3]."""
  rng = np.random.default_rng(1)
  return jnp.asarray(rng.standard_normal((count, size, size, 3), np.float32))


def to_torch(pixels: jax.Array) -> torch.Tensor:
  return torch.tensor(np.asarray(pixels).transpose(0, 3, 1, 2))


def to_numpy(twin: torch.nn.Module) -> dict[str, np.ndarray]:
  """Returns its state dict; zeros that take no memory if it is on `meta`."""
  return {
      name: np.broadcast_to(np.float32(0), x.shape) if x.is_meta else x.numpy()
      for name, x in twin.state_dict().items()
  }


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
  """Returns the shape of every parameter and running statistic by path."""
  pixels = jnp.zeros((1, model.image_size, model.image_size, 3))
  variables = jax.eval_shape(
      lambda key: model.init(key, pixels, train=False), jax.random.key(0)
  )
  tree = variables['params'] | {STATISTICS: variables.get(STATISTICS, {})}
  flat = traverse_util.flatten_dict(tree, sep='/')
  return {path: x.shape for path, x in flat.items()}


def rules(
    paths: Iterable[str], layout: state_dicts.Layout
) -> dict[str, state_dicts.Rule]:
  return {path: layout.make_rule(path, {}) for path in paths}


def to_ours(
    model: nn.Module,
    layout: state_dicts.Layout,
    state: Mapping[str, torch.Tensor],
) -> dict[str, np.ndarray]:
  """Returns our arrays by path for a state dict of PyTorch."""
  # Copies, because PyTorch updates its statistics in place.
  tensors = {name: x.detach().numpy().copy() for name, x in state.items()}
  wanted, checkpoint = shapes(model), pathlib.Path('x.pth')
  tensors = layout.canonicalize(tensors, checkpoint)
  return state_dicts.to_ours(tensors, wanted, rules(wanted, layout), checkpoint)


def variables(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Returns the variables for `apply` from arrays by path."""
  tree = traverse_util.unflatten_dict(dict(flat), sep='/')
  statistics = tree.pop(STATISTICS, {})
  return {'params': tree, STATISTICS: statistics}


def flat(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """Inverts `variables`."""
  tree = variables['params'] | {STATISTICS: variables[STATISTICS]}
  return traverse_util.flatten_dict(tree, sep='/')


def assert_same_features(
    model: nn.Module, weights: Mapping[str, Any], twin: torch.nn.Module
) -> None:
  """Compares the feature map of every stage in evaluation mode."""
  pixels = images(model.image_size, 3)
  ours = jax.jit(
      lambda x: model.apply(weights, x, train=False, method='features')
  )(pixels)
  with torch.no_grad():
    theirs = twin.eval()(to_torch(pixels))
  assert set(theirs) - {'logits'} == set(ours)
  for stage in (x for x in theirs if x != 'logits'):
    want = theirs[stage].numpy()
    want = want.transpose(0, 2, 3, 1) if want.ndim == 4 else want
    # float32 sums differ in order; values are of order 1 to 10.
    np.testing.assert_allclose(
        ours[stage], want, rtol=1e-4, atol=1e-4, err_msg=stage
    )


def features(
    model: nn.Module, weights: Mapping[str, Any], pixels: jax.Array
) -> tuple[dict[str, jax.Array], dict[str, Any]]:
  """Returns (feature maps in training mode, updated statistics), jitted."""

  def run(weights, pixels):
    return model.apply(
        weights,
        pixels,
        train=True,
        mutable=[STATISTICS],
        method='features',
        rngs={'dropout': jax.random.key(0)},
    )

  maps, moved = jax.jit(run)(weights, pixels)
  return maps, moved[STATISTICS]


def assert_frozen(
    model: nn.Module, weights: Mapping[str, Any], stages: tuple[str, ...]
) -> None:
  """Asserts that statistics stay the same in these stages only."""
  _, moved = features(model, weights, images(model.image_size, 2))
  before, after = (
      traverse_util.flatten_dict(x, sep='/')
      for x in (weights[STATISTICS], moved)
  )
  assert set(before) == set(after)
  for path, value in after.items():
    stays = np.array_equal(value, before[path])
    assert stays == path.startswith(stages), path


def step(model: nn.Module, weights: Mapping[str, Any], pixels: jax.Array):
  """Returns (loss, gradients, updated statistics), jitted."""
  target = jnp.asarray(_target(pixels.shape[0], model.dim))

  def loss(params, statistics, pixels):
    out, moved = model.apply(
        {'params': params, STATISTICS: statistics},
        pixels,
        train=True,
        mutable=[STATISTICS],
        rngs={'dropout': jax.random.key(0)},
    )
    return jnp.mean(jnp.square(out - target)), moved.get(STATISTICS, {})

  (value, moved), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(
      weights['params'], weights[STATISTICS], pixels
  )
  return value, grads, moved


def assert_same_step(
    model: nn.Module,
    layout: state_dicts.Layout,
    twin: torch.nn.Module,
    found: tuple[Any, Any, Any],
) -> None:
  """Compares loss, every gradient and every updated statistic in training.

  `found` is the result of `step` for the twin's weights and `images`.
  """
  pixels = images(model.image_size)
  value, grads, moved = found
  twin = copy.deepcopy(twin)
  out = twin.train()(to_torch(pixels))['embedding']
  target = torch.tensor(_target(pixels.shape[0], model.dim))
  loss = (out - target).square().mean()
  loss.backward()
  np.testing.assert_allclose(value, loss.item(), rtol=1e-4)
  named = dict(twin.named_parameters())
  after = to_ours(model, layout, twin.state_dict())
  found = flat({'params': grads, STATISTICS: moved})
  for path, rule in rules(found, layout).items():
    if path.startswith(STATISTICS):
      want = after[path]
    else:
      want = rule.to_ours(named[rule.name].grad.numpy())
    # Relative to the largest entry, because the sums have terms of that size.
    # The gradient of a bias before a norm is 0.
    np.testing.assert_allclose(
        found[path],
        want,
        rtol=1e-4,
        atol=1e-4 * np.abs(want).max() + 1e-6,
        err_msg=path,
    )


def _target(count: int, dim: int) -> np.ndarray:
  return np.random.default_rng(2).standard_normal((count, dim), np.float32)


def counted_flops(twin: torch.nn.Module, size: int) -> int:
  """Returns the FLOPs of all convolutions and linear layers for one image."""
  total = 0

  def add(module, _, out):
    nonlocal total
    # Each output is a dot product with one row of the weight.
    total += 2 * out.numel() * module.weight[0].numel()

  for module in twin.modules():
    if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
      module.register_forward_hook(add)
  twin.eval()(torch.zeros(1, 3, size, size, device='meta'))
  return total
