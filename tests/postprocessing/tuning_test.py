"""Tuning gains where there is something to gain, and does not flatter itself."""

import dataclasses

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import (
    calibration,
    pipeline,
    smoothing,
    thresholds,
    tuning,
)
from tests.scoring import rows as made

FEW = (
    smoothing.Smoothing(),
    smoothing.Smoothing('mean', 'row', 5.0),
    smoothing.Smoothing('gaussian', 'frame', 20.0),
)
SETTINGS = tuning.Settings(candidates=FEW)


def _score(rows):
  return rows.scores()['P_MTL']


def test_groups_keep_videos_and_recordings_whole():
  video = np.repeat(
      ['a', 'b', 'c_left', 'c_right', 'd', 'e'], [50, 30, 20, 10, 30, 7]
  )
  group = tuning.split(video, 3)
  names = {name: set(group[video == name]) for name in np.unique(video)}
  assert all(len(groups) == 1 for groups in names.values())
  assert names['c_left'] == names['c_right']
  assert sorted(np.bincount(group)) == [37, 50, 60]
  mixed = np.random.default_rng(0).permutation(len(video))
  np.testing.assert_array_equal(tuning.split(video[mixed], 3), group[mixed])
  with pytest.raises(errors.InputError, match=r'5 videos .* into 6 groups'):
    tuning.split(video, 6)


def test_each_group_is_processed_by_what_was_fitted_to_the_others():
  members = [made.make(seed=0), made.make(seed=1)]
  tuned = tuning.tune(members, SETTINGS, groups=3)
  group = tuning.split(members[0].video, 3)
  for one in range(3):
    held = group == one
    how = tuning.fit([m.take(~held) for m in members], SETTINGS)
    want = pipeline.apply(how, [m.take(held) for m in members])
    found = tuned.cross_fitted.take(held)
    np.testing.assert_array_equal(found.row, want.row)
    for name in ('valence', 'arousal', 'expression', 'au'):
      np.testing.assert_array_equal(getattr(found, name), getattr(want, name))


def test_labels_of_a_group_do_not_reach_its_own_predictions():
  rows = made.make()
  group = tuning.split(rows.video, 3)
  held = group == 1
  flipped = dataclasses.replace(
      rows,
      target_au=np.where(held[:, None], 1 - rows.target_au, rows.target_au),
      target_valence=np.where(held, -rows.target_valence, rows.target_valence),
      target_expression=np.where(
          held, 7 - rows.target_expression, rows.target_expression
      ),
  )
  a, b = (
      tuning.tune([one], SETTINGS, groups=3).cross_fitted.take(held)
      for one in (rows, flipped)
  )
  for name in ('valence', 'arousal', 'expression', 'au'):
    np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_there_is_a_gain_and_the_optimism_is_seen():
  members = [made.make(seed=seed) for seed in range(3)]
  tuned = tuning.tune(members, SETTINGS, groups=4)
  alone = max(_score(member) for member in members)
  crossed, inside = _score(tuned.cross_fitted), _score(tuned.in_sample)
  assert alone < crossed < inside


def test_what_is_noise_gains_in_sample_only():
  rows = made.make(skill=0.0, videos=20)
  settings = tuning.Settings(steps=('bias',))
  tuned = tuning.tune([rows], settings, groups=5)
  plain = rows.scores()['EXPR']
  inside = tuned.in_sample.scores()['EXPR']
  crossed = tuned.cross_fitted.scores()['EXPR']
  assert inside > plain + 0.02
  assert crossed < inside - 0.02


@pytest.mark.parametrize('step', tuning.STEPS)
def test_one_step_alone_moves_only_what_it_says(step):
  members = [made.make(seed=0), made.make(seed=1, skill=2.0)]
  how = tuning.fit(members, dataclasses.replace(SETTINGS, steps=(step,)))
  plain = pipeline.Postprocessing.plain(2)
  moved = {
      'weights': any((w != 0.5).any() for w in how.weights.values()),
      'smoothing': how.smoothing != plain.smoothing,
      'thresholds': bool((how.thresholds != 0.5).any()),
      'bias': bool((how.bias != 0).any()),
  }
  assert moved == {name: name == step for name in tuning.STEPS}


def test_rows_without_labels_take_no_part():
  # Sentinels in place of labels, and predictions that would suit them.
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


def test_calibration_is_fitted_to_what_it_is_applied_to():
  rows = made.make()
  settings = tuning.Settings(steps=('thresholds', 'bias'), bias='prior')
  how = tuning.fit([rows], settings)
  np.testing.assert_allclose(
      how.thresholds,
      thresholds.fit(rows.au, rows.target_au, rows.au_mask),
      rtol=1e-6,
  )
  want = calibration.prior_bias(
      rows.expression[rows.expr], rows.target_expression[rows.expr]
  )
  np.testing.assert_allclose(how.bias, want, atol=1e-6)


def test_a_task_without_labels_is_left_alone():
  rows = made.make()
  rows = dataclasses.replace(rows, au_mask=np.zeros_like(rows.au_mask))
  how = tuning.fit([rows, rows], SETTINGS)
  np.testing.assert_array_equal(how.thresholds, 0.5)
  assert how.smoothing['au'].kind == 'none'
  none = dataclasses.replace(
      rows, va=np.zeros_like(rows.va), expr=np.zeros_like(rows.expr)
  )
  with pytest.raises(errors.InputError, match='have no labels'):
    tuning.tune([none], SETTINGS)
