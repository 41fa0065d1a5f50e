"""Skipped updates, compared with those of optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from abaw_jax.steps import skipping


def test_updates_and_state_equal_those_of_optax():
  optimizer = optax.adamw(0.1)
  ours = skipping.skip_non_finite(optimizer)
  theirs = optax.apply_if_finite(optimizer, max_consecutive_errors=100)
  params = {'a': jnp.arange(3.0), 'b': {'c': jnp.ones(())}}
  states = [ours.init(params), theirs.init(params)]
  for value in (1.0, np.nan, -np.inf, 2.0, np.inf, 0.5):
    # One value of one leaf is enough.
    grads = {'a': jnp.array([1.0, value, 3.0]), 'b': {'c': jnp.float32(2.0)}}
    pairs = [
        optimizer.update(grads, state, params)
        for optimizer, state in zip((ours, theirs), states, strict=True)
    ]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), *pairs
    )
    states = [state for _, state in pairs]
  assert int(states[0].total_notfinite) == 3
