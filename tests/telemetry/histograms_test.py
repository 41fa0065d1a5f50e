"""Histograms of weights and gradients, compared with NumPy and with Adam's rule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from abaw_jax.telemetry import histograms

EDGES = histograms.EDGES


def test_counts_and_moments_are_those_of_numpy():
  generator = np.random.default_rng(0)
  signs = generator.choice([-1.0, 1.0], [3, 1000])
  # No number is near an edge, where rounding decides.
  exponents = (generator.integers(-56, 8, [3, 1000]) + 0.5) / 8
  values = np.float32(signs * 10**exponents)
  tree = {'a': jnp.asarray(values[:2]), 'b': {'c': jnp.asarray(values[2])}}
  found = jax.device_get(jax.jit(histograms.count)(tree))
  np.testing.assert_array_equal(found.counts, np.histogram(values, EDGES)[0])
  assert (found.low, found.high) == (values.min(), values.max())
  assert found.total == pytest.approx(values.sum(dtype=np.float64), rel=1e-4)
  assert found.squares == pytest.approx(np.square(values, dtype='d').sum())


def test_numbers_outside_the_bins_are_in_the_last_ones():
  found = histograms.count([jnp.array([-1e9, -11.0, 0.0, 1e-9, -1e-9, 11.0])])
  middle = EDGES.size // 2 - 1
  assert EDGES[middle] == -EDGES[middle + 1]
  assert found.counts[np.array([0, middle, -1])].tolist() == [2, 3, 1]
  assert found.counts.sum() == 6


def test_the_gradients_are_the_first_moment_of_the_trained_parts():
  params = {'encoder': {'kernel': jnp.ones([2, 3])}, 'heads': jnp.ones([4])}
  kinds = {'encoder': 'frozen', 'heads': 'trained'}
  optimizer = optax.partition(
      {'trained': optax.adamw(0.1, b1=0.75), 'frozen': optax.set_to_zero()},
      kinds,
  )
  grads = jax.tree.map(lambda x: jnp.full(x.shape, 0.4), params)
  _, state = optimizer.update(grads, optimizer.init(params), params)
  found = histograms.count_parts(params, state)
  assert set(found) == {'weights/encoder', 'weights/heads', 'gradients/heads'}
  assert found['weights/encoder'].total == 6.0
  gradients = found['gradients/heads']
  assert gradients.counts.sum() == 4
  assert gradients.low == gradients.high == pytest.approx(0.1)


def test_an_optimizer_without_moments_has_weights_only():
  params = {'encoder': jnp.ones([2])}
  state = optax.sgd(0.1).init(params)
  assert set(histograms.count_parts(params, state)) == {'weights/encoder'}
