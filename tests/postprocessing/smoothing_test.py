"""Smoothing against its definition, row by row."""

import dataclasses

import numpy as np
import pytest

from abaw_jax.postprocessing import smoothing
from abaw_jax.scoring import predictions
from tests.scoring import rows as made

WAYS = [
    smoothing.Smoothing(kind, by, width)
    for kind in ('mean', 'gaussian', 'median')
    for by in smoothing.BY
    for width in (0.5, 1.0, 3.0, 40.0, 1e4)
]


def brute(values, rows, how):
  """Returns the definition: for every row, over all rows of its video."""
  result = np.empty_like(values)
  place = rows.frame_id.astype(float)
  if how.by == 'row':
    for name in np.unique(rows.video):
      same = np.flatnonzero(rows.video == name)
      order = sorted(same, key=lambda i: (rows.frame_id[i], rows.row[i]))
      place[order] = np.arange(len(order))
  for i in range(len(rows)):
    same = rows.video == rows.video[i]
    distance = np.abs(place - place[i])
    if how.kind == 'gaussian':
      near = same & (distance <= 4 * how.width)
      weight = np.exp(-(distance[near] ** 2) / (2 * how.width**2))
      result[i] = weight @ values[near] / weight.sum()
    else:
      near = values[same & (distance <= how.width)]
      result[i] = {'mean': np.mean, 'median': np.median}[how.kind](near, axis=0)
  return result


@pytest.mark.parametrize('how', WAYS, ids=str)
def test_every_kind_is_its_definition(how):
  rows = made.make(videos=4, frames=25)
  values = np.concatenate([rows.expression, rows.valence[:, None]], axis=-1)
  found = smoothing.smooth(values, smoothing.Timeline.of(rows), how)
  np.testing.assert_allclose(found, brute(values, rows, how), atol=1e-12)


@pytest.mark.parametrize('how', WAYS, ids=str)
def test_a_constant_stays_what_it_is_up_to_the_ends(how):
  # Weights that are not normalised, as in AIM3's binomial window or HSE's
  # smoothing of AUs, would lower it at the ends or raise it everywhere.
  rows = made.make(videos=3)
  values = np.full([len(rows), 2], 0.3)
  found = smoothing.smooth(values, smoothing.Timeline.of(rows), how)
  np.testing.assert_allclose(found, values, rtol=1e-12)


@pytest.mark.parametrize('how', WAYS, ids=str)
def test_time_has_no_direction(how):
  # A window that leaves out its lower bound would give something else.
  rows = made.make(videos=3)
  reverse = dataclasses.replace(
      rows, frame_id=10_000 - rows.frame_id, row=10_000 - rows.row
  )
  forward, backward = (
      smoothing.smooth(rows.au, smoothing.Timeline.of(one), how)
      for one in (rows, reverse)
  )
  np.testing.assert_allclose(forward, backward, atol=1e-12)


@pytest.mark.parametrize('how', WAYS, ids=str)
def test_the_order_of_rows_does_not_matter(how):
  rows = made.make(videos=3)
  order = np.random.default_rng(1).permutation(len(rows))
  mixed = rows.take(order)
  whole = smoothing.smooth(rows.au, smoothing.Timeline.of(rows), how)
  parts = smoothing.smooth(mixed.au, smoothing.Timeline.of(mixed), how)
  np.testing.assert_allclose(parts, whole[order], atol=1e-12)


def _video(frames, values):
  n = len(frames)
  rows = predictions.Predictions(
      video=np.full(n, 'a'),
      frame_id=np.array(frames),
      row=np.arange(n),
      valence=np.zeros(n),
      arousal=np.zeros(n),
      expression=np.zeros([n, 8]),
      au=np.zeros([n, 12]),
  )
  return np.array(values, float)[:, None], smoothing.Timeline.of(rows)


def test_a_gap_separates_in_time_but_not_in_rows():
  values, timeline = _video([1, 2, 1000, 1001], [0, 0, 1, 1])
  by_frame = smoothing.Smoothing('mean', 'frame', 5.0)
  by_row = smoothing.Smoothing('mean', 'row', 1.0)
  found = smoothing.smooth(values, timeline, by_frame)
  np.testing.assert_allclose(found[:, 0], [0, 0, 1, 1])
  found = smoothing.smooth(values, timeline, by_row)
  np.testing.assert_allclose(found[:, 0], [0, 1 / 3, 2 / 3, 1])


def test_a_repeated_frame_is_the_same_twice():
  values, timeline = _video([1, 5, 5, 9], [0, 3, 6, 9])
  how = smoothing.Smoothing('mean', 'frame', 4.0)
  found = smoothing.smooth(values, timeline, how)
  np.testing.assert_allclose(found[:, 0], [3, 4.5, 4.5, 6])


def test_a_long_gaussian_is_the_mean_and_none_is_none():
  rows = made.make(videos=1)
  timeline = smoothing.Timeline.of(rows)
  how = smoothing.Smoothing('gaussian', 'frame', 1e6)
  found = smoothing.smooth(rows.au, timeline, how)
  mean = np.broadcast_to(rows.au.mean(axis=0), found.shape)
  np.testing.assert_allclose(found, mean, rtol=1e-6)
  none = smoothing.smooth(rows.au, timeline, smoothing.Smoothing())
  np.testing.assert_array_equal(none, rows.au)


def test_hse_sigma_is_a_standard_deviation():
  # exp(-d^2 / sigma) with sigma = 18 is our width sqrt(18 / 2) = 3.
  values, timeline = _video([0, 2], [0, 1])
  how = smoothing.Smoothing('gaussian', 'frame', 3.0)
  weight = np.exp(-(2**2) / 18)
  found = smoothing.smooth(values, timeline, how)[0, 0]
  np.testing.assert_allclose(found, weight / (1 + weight))


def test_probabilities_stay_in_range_over_long_videos():
  n = 20_000
  values, timeline = _video(np.arange(n), np.zeros(n))
  values[: n // 2] = 1
  how = smoothing.Smoothing('mean', 'row', 7.0)
  found = smoothing.smooth(values, timeline, how)
  assert found.min() >= 0
  assert found.max() <= 1
