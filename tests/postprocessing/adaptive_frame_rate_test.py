"""The adaptive frame rate against a loop over frames."""

import dataclasses

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import adaptive_frame_rate, smoothing
from tests.scoring import rows as made

PLANS = [
    adaptive_frame_rate.Plan((7, 3, 1), (0.3, 0.26), half=9),
    adaptive_frame_rate.Plan((20, 10, 1), (0.4, np.inf), half=5),
    adaptive_frame_rate.Plan((4, 2, 1), (0.0, 0.0), half=6),
    adaptive_frame_rate.Plan.fixed(5, half=50),
    adaptive_frame_rate.Plan.fixed(1, half=0),
]


def make(**options):
  """Returns rows in which a frame that is listed twice is predicted once."""
  rows = made.make(**options)
  seen = {}
  same = [
      seen.setdefault(key, i)
      for i, key in enumerate(zip(rows.video, rows.frame_id, strict=True))
  ]
  return dataclasses.replace(rows, expression=rows.expression[same])


def videos(rows):
  """Returns the frames of each video in order, as {frame number: row}."""
  frames = {}
  for i, video in enumerate(rows.video):
    frames.setdefault(video, {})[rows.frame_id[i]] = i
  return {name: dict(sorted(one.items())) for name, one in frames.items()}


def window(t, count, stride, half):
  """Returns the positions of the frames in the window of frame t."""
  return range(max(t - half, 0), min(t + half, count - 1) + 1, stride)


def brute(rows, plan):
  """Returns expressions and strides of all rows, cost and read."""
  expression = np.empty_like(rows.expression)
  stride = np.empty(len(rows), int)
  used = full = looked = total = 0
  for frames in videos(rows).values():
    prob = rows.expression[list(frames.values())]
    read = set()
    for t, number in enumerate(frames):
      for s, least in zip(plan.strides, (*plan.thresholds, 0.0), strict=True):
        places = window(t, len(prob), s, plan.half)
        read |= set(places)
        mean = prob[list(places)].mean(axis=0)
        if mean.max() >= least:
          break
      mine = [
          i
          for i in range(len(rows))
          if rows.frame_id[i] == number
          and rows.video[i] == rows.video[frames[number]]
      ]
      expression[mine], stride[mine] = mean, s
      used += len(places)
      full += len(window(t, len(prob), 1, plan.half))
    looked, total = looked + len(read), total + len(prob)
  return expression, stride, used / full, looked / total


@pytest.mark.parametrize('plan', PLANS, ids=str)
def test_plans_equal_the_loop_over_frames(plan):
  rows = make(videos=3, frames=30)
  found = adaptive_frame_rate.apply(rows, plan)
  expression, stride, cost, read = brute(rows, plan)
  np.testing.assert_allclose(found.rows.expression, expression, atol=1e-12)
  np.testing.assert_array_equal(found.stride, stride)
  np.testing.assert_allclose([found.cost, found.read], [cost, read])
  np.testing.assert_array_equal(found.rows.au, rows.au)


def test_all_frames_are_a_box_filter():
  rows = made.make(videos=3)
  once = rows.take(np.sort(adaptive_frame_rate._Frames.from_rows(rows).rows))
  found = adaptive_frame_rate.apply(
      once, adaptive_frame_rate.Plan.fixed(1, half=6)
  )
  timeline = smoothing.Timeline.from_rows(once)
  box = smoothing.smooth(
      once.expression, timeline, smoothing.Smoothing('mean', 'row', 6)
  )
  np.testing.assert_allclose(found.rows.expression, box, atol=1e-12)
  assert found.cost == found.read == 1


def lowest_threshold(score, correct, level):
  """Returns the threshold by going down from the highest score."""
  found = np.inf
  for candidate in sorted(score[correct], reverse=True):
    if np.sum(score[~correct] > candidate) / len(score) > level:
      break
    found = candidate
  return found


@pytest.mark.parametrize('level', [0.0, 0.02, 0.05, 0.3, 1.0])
@pytest.mark.parametrize('decimals', [1, 9])
def test_the_lowest_allowed_threshold_is_found(level, decimals):
  rng = np.random.default_rng(0)
  for count in (1, 2, 40):
    score = np.round(rng.random(count), decimals)  # few decimals make ties
    for correct in (rng.random(count) < score, np.zeros(count, bool)):
      found = adaptive_frame_rate.fit_threshold(score, correct, level)
      assert found == lowest_threshold(score, correct, level)


@pytest.mark.parametrize(
    ('level', 'expected'), [(0.1, 0.9), (0.2, 0.6), (0.4, 0.5)]
)
def test_the_threshold_of_a_worked_example(level, expected):
  # Of six rows, one wrong row exceeds 0.8 and 0.6, and two exceed 0.5.
  score = np.array([0.9, 0.85, 0.8, 0.6, 0.55, 0.5])
  correct = np.array([True, False, True, True, False, True])
  found = adaptive_frame_rate.fit_threshold(score, correct, level)
  assert found == expected


def test_levels_are_fixed_or_grow():
  assert adaptive_frame_rate.LEVELS['fixed'](0.05, 2, 5) == 0.05
  assert [adaptive_frame_rate.LEVELS['growing'](0.1, k, 5) for k in (1, 5)] == [
      0.02,
      0.1,
  ]


def test_thresholds_are_fitted_to_labelled_rows_for_each_stride():
  rows = make(videos=6, skill=2.0)
  plan = adaptive_frame_rate.fit(rows, (9, 3, 1), half=8, alpha=0.3)
  for k, (stride, found) in enumerate(
      zip(plan.strides, plan.thresholds, strict=False), start=1
  ):
    means, *_ = brute(rows, adaptive_frame_rate.Plan.fixed(stride, 8))
    means = means[rows.expr]
    correct = np.argmax(means, -1) == rows.target_expression[rows.expr]
    expected = lowest_threshold(means.max(-1), correct, 0.3 * k / 3)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    # The bound is on wrong and accepted rows over all rows.
    wrong = np.mean((means.max(-1) > found + 1e-9) & ~correct)
    assert wrong <= 0.3 * k / 3
  assert len(plan.thresholds) == 2
  lower = adaptive_frame_rate.fit(
      rows, (9, 3, 1), half=8, alpha=0.3, levels='fixed'
  )
  assert lower.thresholds[0] <= plan.thresholds[0]


def test_thresholds_need_labels():
  rows = made.make(videos=2)
  rows = dataclasses.replace(rows, expr=np.zeros_like(rows.expr))
  with pytest.raises(errors.InputError, match='training split'):
    adaptive_frame_rate.fit(rows, (3, 1))
