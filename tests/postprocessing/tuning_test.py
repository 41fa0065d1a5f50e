"""Tuning improves the score, and its cross-fitted score is unbiased."""

import dataclasses

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import (
    calibration,
    postprocess,
    smoothing,
    thresholds,
    tuning,
)
from abaw_jax.reports import comparison
from tests.scoring import rows as made

FEW = (
    smoothing.Smoothing(),
    smoothing.Smoothing('mean', 'row', 5.0),
    smoothing.Smoothing('gaussian', 'frame', 20.0),
)
SETTINGS = tuning.Settings(candidates=FEW)


def _score(rows):
  return rows.scores()['P_MTL']


def test_groups_keep_recordings_together():
  video = np.repeat(
      ['a', 'b', 'c_left', 'c_right', 'd', 'e'], [50, 30, 20, 10, 30, 7]
  )
  group = tuning.assign_groups(video, 3)
  names = {name: set(group[video == name]) for name in np.unique(video)}
  assert all(len(groups) == 1 for groups in names.values())
  assert names['c_left'] == names['c_right']
  assert sorted(np.bincount(group)) == [37, 50, 60]
  mixed = np.random.default_rng(0).permutation(len(video))
  np.testing.assert_array_equal(
      tuning.assign_groups(video[mixed], 3), group[mixed]
  )


@pytest.mark.parametrize(
    ('videos', 'groups', 'message'),
    [
        (5, 6, r'--groups=6: .* only 5 recordings; give --groups=5,'),
        (2, 3, r'only 2 recordings; give --groups=2,'),
        (1, 2, r'video0: all labels to tune on are from this one recording'),
        (0, 2, r'have no labels'),
    ],
)
def test_every_group_needs_a_labelled_recording(videos, groups, message):
  rows = made.make(videos=8)
  known = np.isin(rows.video, [f'video{i}' for i in range(videos)])
  some = dataclasses.replace(
      rows,
      va=rows.va & known,
      expr=rows.expr & known,
      au_mask=rows.au_mask & known[:, None],
  )
  with pytest.raises(errors.InputError, match=message):
    tuning.tune([some], SETTINGS, groups=groups)


def test_each_group_is_processed_with_parameters_of_the_other_groups():
  members = [made.make(seed=0), made.make(seed=1)]
  tuned = tuning.tune(members, SETTINGS, groups=3)
  group = tuning.assign_groups(members[0].video, 3)
  for one in range(3):
    held_out = group == one
    fitted = tuning.fit([m.take(~held_out) for m in members], SETTINGS)
    want = fitted.apply([m.take(held_out) for m in members])
    found = tuned.cross_fitted.take(held_out)
    np.testing.assert_array_equal(found.row, want.row)
    for name in ('valence', 'arousal', 'expression', 'au'):
      np.testing.assert_array_equal(getattr(found, name), getattr(want, name))


def test_labels_of_a_group_do_not_influence_its_own_predictions():
  rows = made.make()
  group = tuning.assign_groups(rows.video, 3)
  held_out = group == 1
  flipped = dataclasses.replace(
      rows,
      target_au=np.where(held_out[:, None], 1 - rows.target_au, rows.target_au),
      target_valence=np.where(
          held_out, -rows.target_valence, rows.target_valence
      ),
      target_expression=np.where(
          held_out, 7 - rows.target_expression, rows.target_expression
      ),
  )
  a, b = (
      tuning.tune([one], SETTINGS, groups=3).cross_fitted.take(held_out)
      for one in (rows, flipped)
  )
  for name in ('valence', 'arousal', 'expression', 'au'):
    np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_tuning_gains_and_the_in_sample_score_is_higher():
  members = [made.make(seed=seed) for seed in range(3)]
  tuned = tuning.tune(members, SETTINGS, groups=4)
  alone = max(_score(member) for member in members)
  crossed, in_sample = _score(tuned.cross_fitted), _score(tuned.in_sample)
  assert alone < crossed < in_sample


def test_noise_gains_only_in_sample():
  rows = made.make(skill=0.0, videos=20)
  settings = tuning.Settings(steps=('bias',))
  tuned = tuning.tune([rows], settings, groups=5)
  plain = rows.scores()['EXPR']
  in_sample = tuned.in_sample.scores()['EXPR']
  crossed = tuned.cross_fitted.scores()['EXPR']
  assert in_sample > plain + 0.02
  assert crossed < in_sample - 0.02


def test_the_published_smoothing_of_hse_is_a_candidate():
  # exp(-d^2 / 1e5) within 10 rows to each side.
  rows = [
      c.rows for c in tuning.CANDIDATES if 2 * c.width**2 == pytest.approx(1e5)
  ]
  assert rows == [10, 50]


@pytest.mark.parametrize('step', tuning.STEPS)
def test_one_step_changes_only_its_parameters(step):
  members = [made.make(seed=0), made.make(seed=1, skill=2.0)]
  fitted = tuning.fit(members, dataclasses.replace(SETTINGS, steps=(step,)))
  plain = postprocess.Postprocessing.equal_weights(2)
  moved = {
      'weights': any((w != 0.5).any() for w in fitted.weights.values()),
      'smoothing': fitted.smoothing != plain.smoothing,
      'thresholds': bool((fitted.thresholds != 0.5).any()),
      'bias': bool((fitted.bias != 0).any()),
  }
  assert moved == {name: name == step for name in tuning.STEPS}


def test_rows_without_labels_are_ignored():
  # Sentinels replace missing labels.
  rows = made.make()
  dirty = dataclasses.replace(
      rows,
      target_valence=np.where(rows.va, rows.target_valence, -5.0),
      target_arousal=np.where(rows.va, rows.target_arousal, -5.0),
      target_expression=np.where(rows.expr, rows.target_expression, -1),
      target_au=np.where(rows.au_mask, rows.target_au, -1),
  )
  a, b = (tuning.fit([one], SETTINGS) for one in (rows, dirty))
  np.testing.assert_array_equal(a.thresholds, b.thresholds)
  np.testing.assert_array_equal(a.bias, b.bias)
  assert a.smoothing == b.smoothing


def test_calibration_is_fitted_to_the_rows():
  rows = made.make()
  settings = tuning.Settings(steps=('thresholds', 'bias'), bias='prior')
  fitted = tuning.fit([rows], settings)
  np.testing.assert_allclose(
      fitted.thresholds,
      thresholds.fit(rows.au, rows.target_au, rows.au_mask),
      rtol=1e-6,
  )
  want = calibration.prior_bias(
      rows.expression[rows.expr], rows.target_expression[rows.expr]
  )
  np.testing.assert_allclose(fitted.bias, want, atol=1e-6)


def test_tau_is_cross_fitted_and_reported():
  rows = made.make()
  settings = tuning.Settings(steps=('bias',), bias='tau')
  tuned = tuning.tune([rows], settings, groups=3)
  group = tuning.assign_groups(rows.video, 3)
  parts = [rows, *(rows.take(group != one) for one in range(3))]
  expected = []
  for part in parts:
    target = part.target_expression[part.expr]
    bias = calibration.tau_bias(part.expression[part.expr], target)
    expected.append(calibration.tau(bias, target))
  np.testing.assert_allclose(tuned.taus, expected)
  scores = comparison.bootstrap({'member 1': rows}, 100)
  lines = comparison.tuning_report(scores, tuned, ('bias',), resamples=100)
  (line,) = [line for line in lines if 'tau' in line]
  low, high = min(expected[1:]), max(expected[1:])
  assert f'tau {expected[0]:.2f}; {low:.2f} to {high:.2f} when' in line


def test_a_task_without_labels_is_not_tuned():
  rows = made.make()
  rows = dataclasses.replace(rows, au_mask=np.zeros_like(rows.au_mask))
  fitted = tuning.fit([rows, rows], SETTINGS)
  np.testing.assert_array_equal(fitted.thresholds, 0.5)
  assert fitted.smoothing['au'].kind == 'none'
  none = dataclasses.replace(
      rows, va=np.zeros_like(rows.va), expr=np.zeros_like(rows.expr)
  )
  with pytest.raises(errors.InputError, match='have no labels'):
    tuning.tune([none], SETTINGS)
