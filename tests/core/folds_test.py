"""Folds keep recordings together, are balanced and depend on their own seed."""

import numpy as np
import pytest

from abaw_jax.core import folds

SIZES = np.random.default_rng(0).geometric(1 / 500, 307)


def assign(sizes, **options):
  names = [f'video{i:03d}' for i in range(len(sizes))]
  return folds.assign(names, sizes, **options)


@pytest.mark.parametrize('seed', [0, None])
@pytest.mark.parametrize('num_folds', [2, 5, 6, 10])
def test_every_video_has_a_fold_and_folds_are_as_large(num_folds, seed):
  found = assign(SIZES, num_folds=num_folds, seed=seed)
  frames = np.bincount(found, weights=SIZES, minlength=num_folds)
  assert len(found) == len(SIZES)
  assert len(frames) == num_folds
  assert frames.sum() == SIZES.sum()
  # A sixth of the frames is about 25,000.
  assert frames.max() - frames.min() < 100


def test_two_folds_differ_by_one_video_at_most():
  for seed in range(50):
    sizes = np.random.default_rng(seed).integers(1, 1000, seed % 13 + 4)
    found = assign(sizes, num_folds=4, seed=seed)
    frames = np.bincount(found, weights=sizes, minlength=4)
    assert frames.max() - frames.min() <= sizes.max()


def test_as_many_folds_as_videos_leave_one_out():
  found = assign(SIZES[:9], num_folds=9, seed=3)
  np.testing.assert_array_equal(np.sort(found), np.arange(9))


def test_the_seed_decides():
  first = assign(SIZES, num_folds=6, seed=0)
  np.testing.assert_array_equal(first, assign(SIZES, num_folds=6, seed=0))
  assert (first != assign(SIZES, num_folds=6, seed=1)).mean() > 0.5


def test_rows_of_a_recording_share_a_fold():
  video = np.repeat(
      ['a', 'b', 'c_left', 'c_right', 'd', 'e'], [50, 30, 20, 10, 30, 7]
  )
  found = folds.assign(video, np.ones(len(video), int), num_folds=3)
  by_name = {name: set(found[video == name]) for name in np.unique(video)}
  assert all(len(one) == 1 for one in by_name.values())
  assert by_name['c_left'] == by_name['c_right']
  assert sorted(np.bincount(found)) == [37, 50, 60]
  mixed = np.random.default_rng(0).permutation(len(video))
  np.testing.assert_array_equal(
      folds.assign(video[mixed], np.ones(len(video), int), num_folds=3),
      found[mixed],
  )
