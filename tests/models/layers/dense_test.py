"""Layers against closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.cpu import dense_vjp
from abaw_jax.models.layers import dense, stochastic_depth


def test_drop_path_drops_samples_whole_and_keeps_the_mean():
  x = jnp.ones((4000, 3, 2))
  out = np.asarray(
      stochastic_depth.DropPath().apply(
          {}, x, 0.25, train=True, rngs={'dropout': jax.random.key(0)}
      )
  )
  per_sample = out.reshape(4000, -1)
  assert np.all((per_sample == per_sample[:, :1]).all(axis=1))
  np.testing.assert_allclose(np.unique(out), [0.0, 4 / 3], rtol=1e-6)
  # The standard error of the mean is 0.009.
  np.testing.assert_allclose(out.mean(), 1.0, atol=0.04)


def test_drop_path_is_the_identity_outside_training():
  x = jnp.arange(6.0).reshape(3, 2)
  out = stochastic_depth.DropPath().apply({}, x, 0.9, train=False)
  np.testing.assert_array_equal(out, x)


def test_gelu_and_its_gradient_are_exact():
  x = jnp.linspace(-6.0, 6.0, 101)
  cdf = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
  density = np.exp(-(np.asarray(x, np.float64) ** 2) / 2) / math.sqrt(
      2 * math.pi
  )
  np.testing.assert_allclose(dense.gelu(x), x * cdf, atol=1e-6)
  slopes = jax.vmap(jax.grad(dense.gelu))(x)
  np.testing.assert_allclose(slopes, cdf + x * density, atol=1e-6)


@pytest.mark.parametrize('shape', [(6, 4, 9), (6, 9, 4), (2, 3, 4, 9)])
def test_a_product_has_the_gradients_of_autodiff(shape):
  *rows, n, m = shape
  x, g = (
      jax.random.normal(jax.random.key(i), (*rows, d))
      for i, d in enumerate((n, m))
  )
  kernel = jax.random.normal(jax.random.key(2), (n, m))
  numbers = (((len(rows),), (0,)), ((), ()))

  def total(product, x, kernel):
    return jnp.sum(g * product(x, kernel, numbers))

  found = jax.grad(total, argnums=(1, 2))(dense_vjp.dense, x, kernel)
  expected = jax.grad(total, argnums=(1, 2))(jax.lax.dot_general, x, kernel)
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
  np.testing.assert_allclose(
      dense_vjp.dense(x, kernel, numbers), x @ kernel, atol=1e-5
  )


def test_the_transposed_copies_are_for_cpus_only():
  x, kernel = jnp.ones((4, 3)), jnp.ones((3, 5))
  grads = jax.jit(
      jax.grad(lambda x, k: dense_vjp.dense(x, k, None).sum(), argnums=(0, 1))
  )
  for platform, copies in {'cpu': True, 'tpu': False, 'cuda': False}.items():
    text = grads.trace(x, kernel).lower(lowering_platforms=(platform,))
    assert ('inlineable' in text.as_text()) is copies, platform
