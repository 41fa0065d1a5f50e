"""Thresholds against a search over all of them."""

import numpy as np
import pytest
from sklearn import metrics as sk_metrics

from abaw_jax.postprocessing import thresholds


@pytest.mark.parametrize('seed', range(20))
def test_no_threshold_is_better(seed):
  rng = np.random.default_rng(seed)
  n = rng.integers(1, 40)
  target = rng.random(n) < rng.random()
  # Rounding makes many values equal.
  prob = np.clip(rng.normal(0.3 + 0.2 * target, 0.2), 0, 1).round(2)
  cut, f1 = thresholds.best_cut(prob, target)
  assert 0 < cut < 1
  every = [
      sk_metrics.f1_score(target, prob >= t, zero_division=0)
      for t in [*np.unique(prob[prob > 0]), 0.999]
  ]
  found = sk_metrics.f1_score(target, prob >= cut, zero_division=0)
  np.testing.assert_allclose(found, max(every), rtol=1e-12)
  np.testing.assert_allclose(found, f1, rtol=1e-12)


def test_the_search_is_finer_than_a_grid():
  prob, target = np.array([0.012, 0.014, 0.016]), np.array([False, True, True])
  cut, f1 = thresholds.best_cut(prob, target)
  np.testing.assert_allclose([cut, f1], [0.013, 1.0])


def test_without_a_positive_the_threshold_is_one_half():
  assert thresholds.best_cut(np.array([0.9]), np.array([False])) == (0.5, 0.0)
  assert thresholds.best_cut(np.zeros(0), np.zeros(0, bool)) == (0.5, 0.0)
  assert thresholds.best_cut(np.zeros(1), np.ones(1, bool)) == (0.5, 0.0)


def test_rows_without_labels_never_count():
  # The sentinel -1 is neither negative nor positive.
  rng = np.random.default_rng(0)
  target = (rng.random([200, 12]) < 0.3).astype(int)
  prob = np.clip(rng.normal(0.3 + 0.2 * target, 0.2), 0, 1)
  mask = np.repeat(rng.random([200, 1]) < 0.5, 12, axis=-1)
  want = thresholds.fit(prob[mask[:, 0]], target[mask[:, 0]], mask[mask[:, 0]])
  for sentinel in (-1, 0, 1):
    dirty = np.where(mask, target, sentinel)
    noise = np.where(mask, prob, rng.random(prob.shape))
    np.testing.assert_array_equal(thresholds.fit(noise, dirty, mask), want)


def test_probabilities_include_the_threshold():
  rng = np.random.default_rng(0)
  prob = rng.random([500, 12]).astype(np.float32).astype(np.float64)
  cuts = rng.uniform(0.02, 0.98, 12)
  moved = thresholds.apply(prob, cuts)
  np.testing.assert_array_equal(moved >= 0.5, prob >= cuts)
  # The odds are divided by those of the threshold; 0.5 changes nothing.
  odds = prob / (1 - prob) * (1 - cuts) / cuts
  np.testing.assert_allclose(moved, odds / (1 + odds), rtol=1e-9)
  same = thresholds.apply(prob, np.full(12, 0.5))
  np.testing.assert_allclose(same, prob, rtol=1e-12)
  ends = thresholds.apply(np.repeat([[0.0], [1.0]], 12, axis=-1), cuts)
  np.testing.assert_array_equal(ends[:, 0], [0, 1])
