"""A fine-tuning step of a ViT equals Hugging Face with AdamW of PyTorch."""

import pathlib
import re

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch.nn import functional
import transformers

from abaw_jax.models.vision import classifier, vit
from abaw_jax.porting.layouts import hf_vit, state_dicts
from abaw_jax.steps import optimizers
from tests.tasks import torch_weights

DIM, DEPTH, HEADS = torch_weights.DIM, torch_weights.DEPTH, torch_weights.HEADS
IMAGE, PATCH = torch_weights.IMAGE, torch_weights.PATCH
CLASSES = 5
FILE = pathlib.Path('x')  # only for messages
LR, WEIGHT_DECAY, LAYER_DECAY = 1e-3, 0.05, 0.65


@pytest.fixture(name='reference')
def _reference() -> transformers.ViTForImageClassification:
  torch.manual_seed(0)
  model = transformers.ViTForImageClassification(
      transformers.ViTConfig(
          hidden_size=DIM,
          num_hidden_layers=DEPTH,
          num_attention_heads=HEADS,
          intermediate_size=4 * DIM,
          image_size=IMAGE,
          patch_size=PATCH,
          layer_norm_eps=1e-6,
          hidden_dropout_prob=0.0,
          attention_probs_dropout_prob=0.0,
          num_labels=CLASSES,
      )
  )
  for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.2)
  return model.train()


def to_ours(tensors, shapes, pool) -> dict[str, np.ndarray]:
  """Returns tensors of Hugging Face (weights or gradients) by our paths."""
  tensors = {k: x.detach().numpy() for k, x in tensors.items()}
  tensors = hf_vit.LAYOUT.canonicalize(tensors, FILE)
  if pool == 'mean_norm':
    # There is one norm, applied after the mean.
    norm = {x: tensors.pop(f'norm.{x}') for x in ('weight', 'bias')}
    tensors |= {f'fc_norm.{x}': value for x, value in norm.items()}
  rules = {
      path: hf_vit.LAYOUT.make_rule(path, {'pool': pool}) for path in shapes
  }
  return state_dicts.to_ours(tensors, shapes, rules, FILE)


def gradients(reference, pool, pixels, labels):
  """Returns (our weights by path, our loss, our gradients) for one batch."""
  model = classifier.Classifier(
      vit.ViT(
          image_size=IMAGE,
          patch_size=PATCH,
          dim=DIM,
          depth=DEPTH,
          num_heads=HEADS,
          pool=pool,
          positions='learned',
      ),
      num_classes=CLASSES,
  )
  tree = jax.eval_shape(
      lambda key: model.init(key, pixels, train=False), jax.random.key(0)
  )['params']
  shapes = traverse_util.flatten_dict(tree, sep='/')
  shapes = {path: x.shape for path, x in shapes.items()}
  weights = to_ours(reference.state_dict(), shapes, pool)

  def loss(params):
    logits = model.apply({'params': params}, pixels, train=True)['logits']
    return optax.softmax_cross_entropy_with_integer_labels(
        logits, labels
    ).mean()

  params = traverse_util.unflatten_dict(weights, sep='/')
  value, grads = jax.jit(jax.value_and_grad(loss))(params)
  return weights, value, traverse_util.flatten_dict(grads, sep='/')


def to_torch(x: jax.Array) -> torch.Tensor:
  """Returns images with channels first, or labels, as tensors."""
  x = np.array(x)
  return torch.tensor(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x).to(
      torch.float32 if x.ndim == 4 else torch.int64
  )


def loss_of(reference, pool, pixels, labels) -> torch.Tensor:
  """Returns the loss of the Hugging Face modules with one of our poolings."""
  hidden = reference.vit.embeddings(to_torch(pixels))
  for layer in reference.vit.layers:
    hidden = layer(hidden, None)
  norm = reference.vit.layernorm
  pooled = {
      'cls': lambda: norm(hidden)[:, 0],
      'mean': lambda: norm(hidden)[:, 1:].mean(1),
      'mean_norm': lambda: norm(hidden[:, 1:].mean(1)),
  }[pool]()
  logits = reference.classifier(pooled)
  return functional.cross_entropy(logits, to_torch(labels))


@pytest.fixture(name='batch', scope='module')
def _batch():
  """Returns (images [b, h, w, 3], labels [b])."""
  rng = np.random.default_rng(1)
  pixels = rng.standard_normal((6, IMAGE, IMAGE, 3), np.float32)
  return jnp.asarray(pixels), jnp.asarray(rng.integers(0, CLASSES, 6))


@pytest.mark.parametrize('pool', ['cls', 'mean', 'mean_norm'])
def test_loss_and_gradients_equal_hugging_face(reference, batch, pool):
  weights, value, grads = gradients(reference, pool, *batch)
  loss = loss_of(reference, pool, *batch)
  loss.backward()
  np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
  if pool == 'cls':
    pixels, labels = (to_torch(x) for x in batch)
    loss_of_model = reference(pixels, labels=labels).loss
    np.testing.assert_allclose(value, loss_of_model.item(), rtol=1e-5)
  theirs = {k: x.grad for k, x in reference.named_parameters()}
  shapes = {path: x.shape for path, x in weights.items()}
  for path, want in to_ours(theirs, shapes, pool).items():
    # The order of float32 sums differs; gradients are of order 1.
    np.testing.assert_allclose(grads[path], want, atol=1e-4, err_msg=path)


def test_an_update_with_layer_decay_equals_torch(reference, batch):
  weights, _, grads = gradients(reference, 'cls', *batch)
  optimizer = optimizers.make_optimizer(
      schedule=lambda _: LR,
      b1=0.9,
      b2=0.999,
      weight_decay=WEIGHT_DECAY,
      clip_norm=0.0,
      layer_decay=LAYER_DECAY,
      num_layers=DEPTH,
      prefix='backbone',
  )
  params, tree = (
      traverse_util.unflatten_dict(x, sep='/') for x in (weights, grads)
  )
  updates, _ = optimizer.update(tree, optimizer.init(params), params)
  ours = traverse_util.flatten_dict(
      optax.apply_updates(params, updates), sep='/'
  )
  groups = []
  for name, parameter in reference.named_parameters():
    layer = re.search(r'layers\.(\d+)\.', name)
    number = int(layer[1]) + 1 if layer else 0
    if name.startswith(('vit.layernorm', 'classifier')):
      number = DEPTH + 1
    is_kernel = name.endswith('.weight') and 'layernorm' not in name
    groups.append(
        {
            'params': [parameter],
            'lr': LR * LAYER_DECAY ** (DEPTH + 1 - number),
            'weight_decay': WEIGHT_DECAY if is_kernel else 0.0,
        }
    )
  loss_of(reference, 'cls', *batch).backward()
  torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8).step()
  shapes = {path: x.shape for path, x in weights.items()}
  for path, want in to_ours(reference.state_dict(), shapes, 'cls').items():
    # The first update is the sign of the gradient. A rounding error decides the
    # sign of a gradient that is 0, such as that of the bias of the keys.
    sure = np.abs(grads[path]) > 1e-4
    assert sure.any()
    np.testing.assert_allclose(
        ours[path][sure], want[sure], rtol=1e-6, atol=1e-7, err_msg=path
    )
