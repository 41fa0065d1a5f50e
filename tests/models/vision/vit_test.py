"""Pooling, positions, rematerialisation and scan of the ViT."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.models.layers import positions, rematerialization
from abaw_jax.models.vision import vit

SMALL = {'image_size': 16, 'patch_size': 8, 'dim': 8, 'num_heads': 2}
OPTIONS = list(itertools.product(rematerialization.POLICIES, (False, True)))


@pytest.fixture(scope='module')
def images() -> jax.Array:
  return jax.random.normal(jax.random.key(0), (4, 16, 16, 3))


def layer_norm(x, norm):
  centred = x - x.mean(-1, keepdims=True)
  scaled = centred / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
  return scaled * np.asarray(norm['scale']) + np.asarray(norm['bias'])


def test_pooling(images):
  model = vit.ViT(**SMALL, depth=1)
  variables = model.init(jax.random.key(1), images, train=False)
  norm = variables['params']['norm']
  norm['scale'] = jnp.arange(1.0, 9.0)
  norm['bias'] = jnp.arange(8.0)
  tokens = np.asarray(
      model.apply(variables, images, train=False, method='encode'), np.float64
  )
  expected = {
      'mean': layer_norm(tokens, norm)[:, 1:].mean(1),
      'mean_norm': layer_norm(tokens[:, 1:].mean(1), norm),
      'cls': layer_norm(tokens[:, 0], norm),
  }
  for pool, values in expected.items():
    out = model.clone(pool=pool).apply(variables, images, train=False)
    np.testing.assert_allclose(out, values, atol=1e-4)


def test_learned_positions_start_with_the_fixed_codes(images):
  fixed, learned = (
      vit.ViT(**SMALL, depth=1, positions=name)
      for name in ('sincos', 'learned')
  )
  variables = learned.init(jax.random.key(1), images, train=False)
  table = variables['params']['pos_embed']
  np.testing.assert_array_equal(table[0], positions.sincos_2d(2, 8))
  expected = fixed.init(jax.random.key(1), images, train=False)
  assert 'pos_embed' not in expected['params']
  np.testing.assert_array_equal(
      learned.apply(variables, images, train=False),
      fixed.apply(expected, images, train=False),
  )


def test_learned_positions_change_only_their_tokens(images):
  model = vit.ViT(**SMALL, depth=1, positions='learned', pool='cls')
  params = model.init(jax.random.key(1), images, train=False)['params']
  keep = jnp.array([[2, 0]] * 4)

  def total(params):
    tokens = model.apply(
        {'params': params}, images, keep, train=False, method='encode'
    )
    return jnp.sum(tokens**2)

  grads = jax.jit(jax.grad(total))(params)['pos_embed'][0]
  changed = np.abs(np.asarray(grads)).sum(-1) > 0
  # cls and patches 0 and 2; patches 1 and 3 were not kept.
  np.testing.assert_array_equal(changed, [True, True, False, True, False])


@pytest.fixture(scope='module')
def deep() -> vit.ViT:
  """Returns a model with several blocks and stochastic depth."""
  return vit.ViT(**SMALL, depth=3, drop_path=0.5)


def jitted_grads(model, train=True):
  """Returns a jitted function for loss and gradients."""

  def loss(params, images):
    key = jax.random.key(3)
    out = model.apply(
        {'params': params}, images, train=train, rngs={'dropout': key}
    )
    return jnp.sum(out**2)

  return jax.jit(jax.value_and_grad(loss))


@pytest.fixture(scope='module')
def plain(deep, images):
  """Returns (parameters, loss, gradients, loss without stochastic depth)."""
  params = deep.init(jax.random.key(1), images, train=False)['params']
  without, _ = jitted_grads(deep, train=False)(params, images)
  return params, *jitted_grads(deep)(params, images), without


@pytest.mark.parametrize(('remat', 'scan'), OPTIONS)
def test_remat_and_scan_do_not_change_gradients(
    deep, plain, images, remat, scan
):
  params, loss, grads, without = plain
  other = deep.clone(remat=remat, scan=scan)
  made = other.init(jax.random.key(1), images, train=False)['params']
  jax.tree.map(np.testing.assert_array_equal, made, params)
  other_loss, other_grads = jitted_grads(other)(params, images)
  np.testing.assert_allclose(other_loss, loss, rtol=1e-5)
  # Float32 sums have another order.
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
      other_grads,
      grads,
  )
  assert abs(without - loss) > 1e-3, 'stochastic depth has no effect'


def test_remat_saves_memory_and_scan_saves_code():
  model = vit.ViT(image_size=64, patch_size=8, dim=32, depth=4, num_heads=2)
  images = jnp.zeros((8, 64, 64, 3))
  params = jax.eval_shape(
      functools.partial(model.init, train=False), jax.random.key(1), images
  )['params']

  def compiled(**options):
    grads = jitted_grads(model.clone(**options))
    return grads.lower(params, images).compile()

  def temporary(**options):
    # In a scan XLA's CPU backend cannot merge the two computations.
    return compiled(**options).memory_analysis().temp_size_in_bytes

  sizes = {
      remat: temporary(remat=remat, scan=True)
      for remat in rematerialization.POLICIES
  }
  assert sizes['all'] < sizes['dots'] < sizes['none']
  code = {scan: len(compiled(scan=scan).as_text()) for scan in (False, True)}
  assert code[True] < 0.8 * code[False]
