"""Stochastic depth drops samples with its rate."""

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.models.layers import stochastic_depth


def test_drop_path_drops_full_samples_and_keeps_the_mean():
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
