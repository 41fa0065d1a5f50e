"""LoRA: closed forms of outputs and gradients, and no gradients of kernels."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.checkpoints import adapters
from abaw_jax.core import errors
from abaw_jax.models import flops, zoo
from abaw_jax.models.layers import dense, variables
from abaw_jax.steps import freezing

SECTION = {
    'name': 'frame',
    'backbone': '',
    'dim': 32,
    'depth': 2,
    'num_heads': 2,
    'image_size': 32,
    'patch_size': 8,
    'positions': 'sincos',
    'drop_path': 0.0,
    'dropout': 0.0,
    'remat': 'none',
    'scan': False,
    'dtype': 'float32',
}
LORA = {'lora_rank': 4, 'lora_alpha': 6.0}
ALL = ','.join(zoo.LORA_TARGETS)
KERNELS = {'f32[32,96]', 'f32[32,32]', 'f32[32,128]'}


@pytest.fixture(scope='module')
def images():
  return jax.random.normal(jax.random.key(0), (3, 32, 32, 3))


@pytest.fixture(scope='module')
def params(images):
  """Returns weights whose factors are all random."""
  model = zoo.make_model(**SECTION, **LORA, lora_targets=ALL)
  params = variables.init(model, jax.random.key(1), images)
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(2), len(leaves))
  return tree.unflatten(
      0.2 * jax.random.normal(key, x.shape)
      for key, x in zip(keys, leaves, strict=True)
  )


def loss(params, images, model):
  output, _ = variables.apply(model, params, images, train=True)
  return jnp.sum(jnp.sin(output['expression'])) + jnp.sum(output['au'] ** 2)


def products(lowered):
  """Returns the shapes of the matrix products of a program."""
  text = lowered.compile().as_text()
  return set(re.findall(r'= (f32\[[\d,]+\])\S* (?:dot|custom-call)\(', text))


def test_a_layer_equals_its_closed_form():
  rng = np.random.default_rng(0)
  x, w, bias, a, b, g = (
      rng.normal(size=shape)
      for shape in ((5, 6), (6, 7), (7,), (6, 2), (2, 7), (5, 7))
  )
  params = {'kernel': w, 'bias': bias, 'lora_a': a, 'lora_b': b}
  params = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), params)
  lora = dense.Lora(rank=2, alpha=3.0, targets=('fc1',))
  layer = dense.dense(7, 'fc1', jnp.float32, lora=lora)
  out = layer.apply({'params': params}, jnp.float32(x))
  np.testing.assert_allclose(out, x @ w + bias + 1.5 * x @ a @ b, rtol=1e-5)
  grads = jax.grad(
      lambda p: jnp.sum(g * layer.apply({'params': p}, jnp.float32(x)))
  )(params)
  np.testing.assert_allclose(grads['lora_a'], 1.5 * x.T @ g @ b.T, rtol=1e-4)
  np.testing.assert_allclose(grads['lora_b'], 1.5 * (x @ a).T @ g, rtol=1e-4)
  assert type(dense.dense(7, 'fc2', jnp.float32, lora=lora)) is not type(layer)


def test_new_factors_change_no_output_and_no_other_initial_weight(images):
  for dtype in ('float32', 'bfloat16'):
    section = SECTION | {'dtype': dtype}
    plain = zoo.make_model(**section)
    model = zoo.make_model(**section, **LORA, lora_targets=ALL)
    base = variables.init(plain, jax.random.key(1), images)
    params = variables.init(model, jax.random.key(1), images)
    jax.tree.map(
        np.testing.assert_array_equal, adapters.without_factors(params), base
    )
    factors = jax.tree.leaves(adapters.only_factors(params))
    assert len(factors) == 2 * (4 * 2 + 1)
    found, expected = (
        variables.apply(m, p, images, train=False)[0]
        for m, p in ((model, params), (plain, base))
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize('scan', [False, True])
@pytest.mark.parametrize('remat', ['none', 'dots'])
def test_gradients_follow_from_those_of_merged_kernels(
    params, images, scan, remat
):
  section = SECTION | {'scan': scan, 'remat': remat}
  model = zoo.make_model(**section, **LORA, lora_targets=ALL)
  lora = model.backbone.lora
  plain = adapters.merged(params, lora)
  trained, frozen = freezing.split(params, '')

  def adapted_loss(trained):
    return loss(freezing.join(trained, frozen), images, model)

  step = jax.jit(jax.value_and_grad(adapted_loss))
  value, grads = step(trained)
  full = jax.jit(jax.value_and_grad(loss), static_argnums=2)
  full_args = plain, images, zoo.make_model(**SECTION)
  want, kernels = full(*full_args)
  np.testing.assert_allclose(value, want, rtol=1e-4)
  # With W + s A B in place of W: dA = s dW B^T, dB = s A^T dW.
  for block in ('blocks_0', 'blocks_1'):
    for path in (('attn', 'qkv'), ('attn', 'proj'), ('mlp', 'fc1')):
      own, dw, found = (
          tree['backbone'][block][path[0]][path[1]]
          for tree in (params, kernels, grads)
      )
      dw = dw['kernel']
      for name, expected in (
          ('lora_a', lora.scale * dw @ own['lora_b'].T),
          ('lora_b', lora.scale * own['lora_a'].T @ dw),
      ):
        np.testing.assert_allclose(
            found[name], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()
        )
      assert found['kernel'] is None
  # No product has the shape of a kernel.
  assert not KERNELS & products(step.lower(trained))
  assert products(full.lower(*full_args)) >= KERNELS


def test_flops_of_a_step_are_those_of_xla(images):
  wide = SECTION | {'dim': 256, 'num_heads': 4, 'depth': 3}
  model = zoo.make_model(**wide, lora_rank=8)
  shapes = jax.eval_shape(
      lambda key: variables.init(model, key, images), jax.random.key(0)
  )
  trained, frozen = freezing.split(shapes, '')

  def adapted_loss(trained, frozen):
    return loss(freezing.join(trained, frozen), images, model)

  step = jax.jit(jax.grad(adapted_loss)).lower(trained, frozen).compile()
  counted = step.cost_analysis()['flops'] / len(images)
  ours = flops.train_flops(model, {})
  assert counted / ours == pytest.approx(1.0, abs=0.06)
  full = flops.train_flops(zoo.make_model(**wide), {})
  assert 0.66 < ours / full < 0.75


def test_wrong_values_are_input_errors():
  for change, message in (
      ({'lora_targets': 'qkv,fc3'}, "lora_targets: unknown value 'fc3'"),
      ({'lora_targets': ''}, 'lora_targets: names no layer'),
      ({'lora_rank': 33}, 'lora_rank=33: is more than'),
  ):
    with pytest.raises(errors.InputError, match=message):
      zoo.make_model(**SECTION | LORA | change)
