"""Moments against NumPy and scikit-learn."""

import numpy as np
import pytest
from sklearn import preprocessing

from abaw_jax.data import statistics

Moments = statistics.Moments


def features(n, seed=0):
  """Returns columns with different scales; the last two are constant."""
  x = np.random.default_rng(seed).normal(size=(n, 5))
  x = x * [1, 100, 1e-3, 0, 0] + [0, 1e4, 5, 0.1, 0]
  return x.astype(np.float32)


@pytest.mark.parametrize('cuts', [[], [1], [7, 20], [1, 2, 3, 90]])
def test_merged_moments_equal_the_moments_of_all_frames(cuts):
  x = features(100)
  total = Moments.zeros(0, 5)
  for part in np.split(x, cuts):
    total = total.merge(Moments.of(part))
  scaler = preprocessing.StandardScaler().fit(x.astype(np.float64))
  assert total.count == 100
  np.testing.assert_allclose(total.mean, scaler.mean_, rtol=1e-12)
  np.testing.assert_allclose(total.std(ddof=0), scaler.scale_, rtol=1e-9)
  np.testing.assert_array_equal(total.std(ddof=0)[3:], 1)
  expected = np.std(x[:, :3], axis=0, ddof=1, dtype=np.float64)
  np.testing.assert_allclose(total.std(ddof=1)[:3], expected, rtol=1e-9)


def test_zeros_can_be_merged():
  x = features(10)
  found = Moments.of(x).merge(Moments.zeros(6, 5))
  padded = np.pad(x.astype(np.float64), ((0, 6), (0, 0)))
  np.testing.assert_allclose(found.mean, padded.mean(axis=0), rtol=1e-12)
  std = padded.std(axis=0, ddof=1)
  np.testing.assert_allclose(
      found.std(ddof=1), np.where(std, std, 1), rtol=1e-9
  )


def test_one_frame_has_a_std_of_one():
  one = Moments.of(features(1))
  np.testing.assert_array_equal(one.std(ddof=1), np.ones(5))
  np.testing.assert_array_equal(one.mean, features(1)[0])
