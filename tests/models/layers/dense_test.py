"""GELU equals its formula."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.models.layers import dense


def test_gelu_and_its_gradient_are_exact():
  x = jnp.linspace(-6.0, 6.0, 101)
  cdf = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
  density = np.exp(-(np.asarray(x, np.float64) ** 2) / 2) / math.sqrt(
      2 * math.pi
  )
  np.testing.assert_allclose(dense.gelu(x), x * cdf, atol=1e-6)
  slopes = jax.vmap(jax.grad(dense.gelu))(x)
  np.testing.assert_allclose(slopes, cdf + x * density, atol=1e-6)
