"""The matrix product of dense layers has the gradients of autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.cpu import dense_vjp


@pytest.mark.parametrize('shape', [(6, 4, 9), (6, 9, 4), (2, 3, 4, 9)])
def test_gradients_equal_autodiff(shape):
  *rows, n, m = shape
  x, g = (
      jax.random.normal(jax.random.key(i), (*rows, d))
      for i, d in enumerate((n, m))
  )
  kernel = jax.random.normal(jax.random.key(2), (n, m))

  def total(product, x, kernel):
    return jnp.sum(g * product(x, kernel))

  found = jax.grad(total, argnums=(1, 2))(dense_vjp.dense, x, kernel)
  expected = jax.grad(total, argnums=(1, 2))(jnp.matmul, x, kernel)
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
  np.testing.assert_allclose(dense_vjp.dense(x, kernel), x @ kernel, atol=1e-5)
