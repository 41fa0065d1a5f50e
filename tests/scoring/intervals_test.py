"""Intervals against explicit resampling and a known distribution."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from abaw_jax.scoring import intervals, predictions
from tests.scoring import rows as made


def test_draws_are_the_scores_of_the_drawn_recordings():
  rows = made.make()
  found = intervals.bootstrap(rows, resamples=8, seed=3)
  names = np.unique(rows.video)
  parts = [rows.take(rows.video == name) for name in names]
  drawn = np.random.default_rng(3).multinomial(
      len(names), np.full(len(names), 1 / len(names)), size=8
  )
  for i, times in enumerate(drawn):
    sample = [
        part for part, n in zip(parts, times, strict=True) for _ in range(n)
    ]
    want = predictions.concatenate(sample).scores()
    for name, one in found.items():
      np.testing.assert_allclose(
          one.draws[i], want[name], rtol=1e-9, err_msg=name
      )
  scores = rows.scores()
  counts = {'n_va', 'n_expr', 'n_au'}
  assert {k: v.value for k, v in found.items()} == {
      k: v for k, v in scores.items() if k not in counts
  }


def test_the_interval_follows_the_binomial_distribution():
  # Videos have one row and every AU is predicted: F1 = 2 k / (n + k) if k of n
  # are present, and k is binomial under resampling.
  n, present = 200, 60
  au = np.zeros([n, 12], int)
  au[:present] = 1
  rows = predictions.Predictions(
      video=np.array([f'v{i}' for i in range(n)]),
      frame_id=np.ones(n, int),
      row=np.arange(n),
      valence=np.zeros(n),
      arousal=np.zeros(n),
      expression=np.tile(np.eye(8)[0], [n, 1]),
      au=np.ones([n, 12]),
  )
  rows = dataclasses.replace(rows, target_au=au, au_mask=np.ones([n, 12], bool))
  one = intervals.bootstrap(rows, resamples=20_000)['AU']
  k = stats.binom(n, present / n).ppf([0.025, 0.975])
  np.testing.assert_allclose(one.interval(), 2 * k / (n + k), atol=0.008)
  np.testing.assert_allclose(one.value, 2 * present / (n + present))


def test_rows_of_a_video_stay_together():
  # Ten copies of every row are no new evidence.
  rows = made.make()
  many = predictions.concatenate([rows] * 10)
  few = intervals.bootstrap(rows)['P_MTL'].interval()
  found = intervals.bootstrap(many)['P_MTL'].interval()
  np.testing.assert_allclose(found, few, rtol=1e-9)


def test_rows_of_a_recording_stay_together():
  # Two people in one recording are one recording, not two independent videos.
  rows = made.make()
  halves = [
      dataclasses.replace(rows, video=np.char.add(rows.video, suffix))
      for suffix in ('_left', '_right')
  ]
  both = predictions.concatenate(halves)
  want = intervals.bootstrap(rows)['P_MTL'].interval()
  found = intervals.bootstrap(both)['P_MTL'].interval()
  np.testing.assert_allclose(found, want, rtol=1e-9)


def test_differences_are_paired():
  rows = made.make()
  better = made.make(skill=2.0)
  a, b = (intervals.bootstrap(one)['P_MTL'] for one in (rows, better))
  low, high = b.minus(a).interval()
  assert 0 < low < b.value - a.value < high
  assert b.minus(b).interval() == (0, 0)
  spread = np.subtract(*a.interval()) + np.subtract(*b.interval())
  assert high - low < -spread


@pytest.mark.parametrize('missing', ['va', 'expr', 'au_mask'])
def test_a_task_without_labels_is_nan(missing):
  rows = made.make()
  rows = dataclasses.replace(
      rows, **{missing: np.zeros_like(getattr(rows, missing))}
  )
  found = intervals.bootstrap(rows, resamples=20)
  assert np.isnan(found['P_MTL'].interval()).all()
  assert np.isfinite(found['score'].interval()).all()


def test_resamples_without_labels_of_a_task_are_left_out():
  rows = made.make()
  two = np.isin(rows.video, ['video0', 'video1'])
  rows = dataclasses.replace(rows, expr=rows.expr & two)
  one = intervals.bootstrap(rows, resamples=200)['EXPR']
  assert np.isnan(one.draws).any()
  single = [rows.take(rows.video == f'video{i}').scores() for i in range(2)]
  want = sorted(scores['EXPR'] for scores in single)
  np.testing.assert_allclose(one.interval(), want)


@pytest.mark.parametrize(
    ('task', 'without'),
    [
        ('va', {'VA', 'CCC_valence', 'P_MTL', 'score'}),
        ('expr', {'EXPR', 'accuracy', 'F1_Fear', 'P_MTL', 'score'}),
        ('au_mask', {'AU', 'F1_AU01', 'P_MTL', 'score'}),
    ],
)
def test_labels_of_one_recording_give_no_interval(task, without):
  rows = made.make()
  # Both halves of a recording are one recording.
  names = np.where(rows.row % 2, 'a_left', 'a_right')
  names = np.where(rows.video == 'video0', names, rows.video)
  mask = getattr(rows, task).copy()
  mask[rows.video != 'video0'] = False
  rows = dataclasses.replace(rows, video=names, **{task: mask})
  found = intervals.bootstrap(rows, resamples=100)
  for name in (
      'VA',
      'CCC_valence',
      'EXPR',
      'accuracy',
      'F1_Fear',
      'AU',
      'F1_AU01',
      'P_MTL',
      'score',
  ):
    undefined = np.isnan(found[name].interval())
    assert undefined.all() == undefined.any() == (name in without), name
  difference = found['score'].minus(found['score'])
  assert np.isnan(difference.interval()).all()


def test_the_seed_decides_the_draws():
  rows = made.make()
  a, b, c = (
      intervals.bootstrap(rows, resamples=50, seed=seed)['VA'].draws
      for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(a, b)
  assert not np.array_equal(a, c)
