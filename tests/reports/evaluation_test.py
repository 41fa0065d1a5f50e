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


def test_one_recording_has_no_interval():
  rows = made.make(videos=1)
  lines = evaluation.compare(
      rows, smooth(), with_intervals=True, resamples=RESAMPLES
  )
  total = rows.scores()['P_MTL']
  assert f'{total:.4f} (1 recording, no interval)' in lines[1]
  assert 'gain over network: ' in lines[-1]
  assert lines[-1].endswith('(1 recording, no interval)')
  assert not any('[' in line for line in lines)


def test_a_part_without_labels_is_no_number():
  rows = made.make(videos=2)
  rows = dataclasses.replace(rows, expr=np.zeros_like(rows.expr))
  for with_intervals in (True, False):
    lines = evaluation.compare(
        rows, None, with_intervals=with_intervals, resamples=RESAMPLES
    )
    assert 'no labels' in lines[1]
    assert 'nan' not in lines[1]


def test_labels_in_one_group_cannot_be_cross_fitted():
  rows = made.make(videos=6)
  mask = rows.au_mask & (rows.video == 'video0')[:, None]
  lines, _ = evaluation.tune(
      dataclasses.replace(rows, au_mask=mask), groups=3, resamples=RESAMPLES
  )
  notes = [line for line in lines if 'all labels are in one group' in line]
  assert [note[:3] for note in notes] == ['AU:']


def test_rows_without_labels_cannot_be_compared():
  rows = made.make(videos=2).without_labels()
  with pytest.raises(errors.InputError, match='no labels'):
    evaluation.compare(rows, None, with_intervals=True)
  with pytest.raises(errors.InputError, match='no labels'):
    evaluation.tune(rows)
