"""Folds by video: each video once, balanced, fixed by their own seed."""

import numpy as np
import pytest

from abaw_jax.sequences import folds

SIZES = np.random.default_rng(0).geometric(1 / 500, 307)


@pytest.mark.parametrize('num_folds', [2, 5, 6, 10])
def test_every_video_has_a_fold_and_folds_are_as_large(num_folds):
  found = folds.assign(SIZES, num_folds=num_folds, seed=0)
  frames = np.bincount(found, weights=SIZES, minlength=num_folds)
  assert len(found) == len(SIZES)
  assert len(frames) == num_folds
  assert frames.sum() == SIZES.sum()
  # Of no consequence beside the 25,000 frames of a sixth.
  assert frames.max() - frames.min() < 100


def test_no_two_folds_differ_by_more_than_a_video():
  for seed in range(50):
    sizes = np.random.default_rng(seed).integers(1, 1000, seed % 13 + 4)
    found = folds.assign(sizes, num_folds=4, seed=seed)
    frames = np.bincount(found, weights=sizes, minlength=4)
    assert frames.max() - frames.min() <= sizes.max()


def test_as_many_folds_as_videos_leave_one_out():
  found = folds.assign(SIZES[:9], num_folds=9, seed=3)
  np.testing.assert_array_equal(np.sort(found), np.arange(9))


def test_the_seed_decides():
  first = folds.assign(SIZES, num_folds=6, seed=0)
  np.testing.assert_array_equal(first, folds.assign(SIZES, num_folds=6, seed=0))
  assert (first != folds.assign(SIZES, num_folds=6, seed=1)).mean() > 0.5
