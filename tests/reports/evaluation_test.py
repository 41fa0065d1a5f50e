"""Reports of the command `evaluate`."""

import dataclasses

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import postprocess, smoothing, tuning
from abaw_jax.reports import evaluation
from abaw_jax.scoring import intervals
from tests.scoring import rows as made

RESAMPLES = 100


def smooth():
  plain = postprocess.Postprocessing.equal_weights(1)
  box = smoothing.Smoothing('mean', 'row', 3)
  return dataclasses.replace(plain, smoothing=plain.smoothing | {'va': box})


def test_scores_with_and_without_postprocessing():
  rows = made.make()
  lines = evaluation.compare(
      rows, smooth(), with_intervals=True, resamples=RESAMPLES
  )
  after = smooth().apply([rows])
  for line, one in zip(lines[1:], (rows, after), strict=False):
    assert f'{one.scores()["P_MTL"]:.4f} [' in line
  before, after = (
      intervals.bootstrap(one, resamples=RESAMPLES)['score']
      for one in (rows, after)
  )
  low, high = after.minus(before).interval()
  assert f'[{low:+.4f}, {high:+.4f}]' in lines[-1]
  short = evaluation.compare(
      rows, smooth(), with_intervals=False, resamples=RESAMPLES
  )
  assert not any('[' in line for line in short)
  assert len(evaluation.compare(rows, None, with_intervals=True)) == 2


def test_tuning_on_the_reported_rows_reports_its_optimism():
  rows = made.make()
  lines, fitted = evaluation.tune(rows, groups=3, resamples=RESAMPLES)
  expected = tuning.tune([rows], tuning.Settings(), groups=3)
  np.testing.assert_array_equal(
      fitted.thresholds, expected.postprocessing.thresholds
  )
  in_sample, crossed = (
      one.scores()['score']
      for one in (expected.in_sample, expected.cross_fitted)
  )
  optimism = in_sample - crossed
  assert f'is {in_sample:.4f}; {optimism:+.4f} of it' in lines[-1]
  assert any(f'{crossed:.4f}' in line for line in lines[:-1])


def test_rows_without_labels_cannot_be_compared():
  rows = made.make(videos=2).without_labels()
  with pytest.raises(errors.InputError, match='no labels'):
    evaluation.compare(rows, None, with_intervals=True)
  with pytest.raises(errors.InputError, match='no labels'):
    evaluation.tune(rows)
