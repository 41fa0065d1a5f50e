"""What `evaluate` says beside the scores of a network."""

import dataclasses

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import pipeline, smoothing, tuning
from abaw_jax.reports import evaluation, predictions
from abaw_jax.scoring import intervals
from tests.scoring import rows as made

RESAMPLES = 100


def smooth():
  how = pipeline.Postprocessing.plain(1)
  box = smoothing.Smoothing('mean', 'row', 3)
  return dataclasses.replace(how, smoothing=how.smoothing | {'va': box})


def test_scores_stand_with_and_without_a_postprocessing():
  rows = made.make()
  lines = evaluation.compare(rows, smooth(), whole=True, resamples=RESAMPLES)
  after = pipeline.apply(smooth(), [rows])
  for line, one in zip(lines[1:], (rows, after), strict=False):
    assert f'{one.scores()["P_MTL"]:.4f} [' in line
  before, after = (
      intervals.bootstrap(one, resamples=RESAMPLES)['score']
      for one in (rows, after)
  )
  low, high = after.minus(before).interval()
  assert f'[{low:+.4f}, {high:+.4f}]' in lines[-1]
  short = evaluation.compare(rows, smooth(), whole=False, resamples=RESAMPLES)
  assert not any('[' in line for line in short)
  assert len(evaluation.compare(rows, None, whole=True)) == 2


def test_tuning_on_the_reported_rows_says_its_optimism():
  rows = made.make()
  lines, fitted = evaluation.tune(rows, groups=3, resamples=RESAMPLES)
  expected = tuning.tune([rows], tuning.Settings(), groups=3)
  np.testing.assert_array_equal(
      fitted.thresholds, expected.postprocessing.thresholds
  )
  inside, honest = (
      one.scores()['score']
      for one in (expected.in_sample, expected.cross_fitted)
  )
  assert f'scores {inside:.4f} on them: {inside - honest:+.4f}' in lines[-1]
  assert any(f'{honest:.4f}' in line for line in lines[:-1])


def test_rows_without_labels_cannot_be_compared():
  rows = predictions._unlabelled(made.make(videos=2))
  with pytest.raises(errors.InputError, match='no labels'):
    evaluation.compare(rows, None, whole=True)
  with pytest.raises(errors.InputError, match='no labels'):
    evaluation.tune(rows)
