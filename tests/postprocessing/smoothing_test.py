"""Smoothing against a loop over rows."""

import dataclasses

import numpy as np
import pytest

from abaw_jax.postprocessing import smoothing
from abaw_jax.scoring import predictions
from tests.scoring import rows as made

WINDOWS = [
    smoothing.Smoothing(kind, by, width)
    for kind in ('mean', 'gaussian', 'median')
    for by in smoothing.BY
    for width in (0.5, 1.0, 3.0, 40.0, 1e4)
] + [
    smoothing.Smoothing(kind, 'frame', 40.0, rows)
    for kind in ('mean', 'gaussian', 'median')
    for rows in (0, 2)
]


def brute(values, rows, window):
  """Returns the smoothed values by a loop over all rows."""
  result = np.empty_like(values)
  place = np.zeros(len(rows))
  for name in np.unique(rows.video):
    same = np.flatnonzero(rows.video == name)
    order = sorted(same, key=lambda i: (rows.frame_id[i], rows.row[i]))
    place[order] = np.arange(len(order))
  position = place if window.by == 'row' else rows.frame_id.astype(float)
  limit = np.inf if window.rows is None else window.rows
  for i in range(len(rows)):
    same = (rows.video == rows.video[i]) & (np.abs(place - place[i]) <= limit)
    distance = np.abs(position - position[i])
    if window.kind == 'gaussian':
      reach = 4 * window.width if window.rows is None else np.inf
      near = same & (distance <= reach)
      weight = np.exp(-(distance[near] ** 2) / (2 * window.width**2))
      result[i] = weight @ values[near] / weight.sum()
    else:
      near = values[same & (distance <= window.width)]
      result[i] = {'mean': np.mean, 'median': np.median}[window.kind](
          near, axis=0
      )
  return result


@pytest.mark.parametrize('window', WINDOWS, ids=str)
def test_every_kind_equals_the_loop_over_rows(window):
  rows = made.make(videos=4, frames=25)
  values = np.concatenate([rows.expression, rows.valence[:, None]], axis=-1)
  found = smoothing.smooth(values, smoothing.Timeline.from_rows(rows), window)
  np.testing.assert_allclose(found, brute(values, rows, window), atol=1e-12)


@pytest.mark.parametrize('window', WINDOWS, ids=str)
def test_a_constant_does_not_change(window):
  # Weights without normalisation, as in AIM3's binomial window or HSE's
  # smoothing of AUs, would change it at the ends or everywhere.
  rows = made.make(videos=3)
  values = np.full([len(rows), 2], 0.3)
  found = smoothing.smooth(values, smoothing.Timeline.from_rows(rows), window)
  np.testing.assert_allclose(found, values, rtol=1e-12)


@pytest.mark.parametrize('window', WINDOWS, ids=str)
def test_reversed_videos_give_the_same_values(window):
  # A window without its lower bound would give another result.
  rows = made.make(videos=3)
  reverse = dataclasses.replace(
      rows, frame_id=10_000 - rows.frame_id, row=10_000 - rows.row
  )
  forward, backward = (
      smoothing.smooth(rows.au, smoothing.Timeline.from_rows(one), window)
      for one in (rows, reverse)
  )
  np.testing.assert_allclose(forward, backward, atol=1e-12)


@pytest.mark.parametrize('window', WINDOWS, ids=str)
def test_the_order_of_rows_does_not_matter(window):
  rows = made.make(videos=3)
  order = np.random.default_rng(1).permutation(len(rows))
  mixed = rows.take(order)
  expected = smoothing.smooth(
      rows.au, smoothing.Timeline.from_rows(rows), window
  )
  parts = smoothing.smooth(
      mixed.au, smoothing.Timeline.from_rows(mixed), window
  )
  np.testing.assert_allclose(parts, expected[order], atol=1e-12)


def _rows(video, frames):
  n = len(frames)
  return predictions.Predictions(
      video=np.array(video),
      frame_id=np.array(frames),
      row=np.arange(n),
      valence=np.zeros(n),
      arousal=np.zeros(n),
      expression=np.zeros([n, 8]),
      au=np.zeros([n, 12]),
  )


def _video(frames, values):
  rows = _rows(['a'] * len(frames), frames)
  return np.array(values, float)[:, None], smoothing.Timeline.from_rows(rows)


def test_a_gap_separates_in_time_but_not_in_rows():
  values, timeline = _video([1, 2, 1000, 1001], [0, 0, 1, 1])
  by_frame = smoothing.Smoothing('mean', 'frame', 5.0)
  by_row = smoothing.Smoothing('mean', 'row', 1.0)
  found = smoothing.smooth(values, timeline, by_frame)
  np.testing.assert_allclose(found[:, 0], [0, 0, 1, 1])
  found = smoothing.smooth(values, timeline, by_row)
  np.testing.assert_allclose(found[:, 0], [0, 1 / 3, 2 / 3, 1])


def test_a_repeated_frame_has_the_same_value_twice():
  values, timeline = _video([1, 5, 5, 9], [0, 3, 6, 9])
  window = smoothing.Smoothing('mean', 'frame', 4.0)
  found = smoothing.smooth(values, timeline, window)
  np.testing.assert_allclose(found[:, 0], [3, 4.5, 4.5, 6])


def test_a_wide_gaussian_is_the_mean_and_none_changes_nothing():
  rows = made.make(videos=1)
  timeline = smoothing.Timeline.from_rows(rows)
  window = smoothing.Smoothing('gaussian', 'frame', 1e6)
  found = smoothing.smooth(rows.au, timeline, window)
  mean = np.broadcast_to(rows.au.mean(axis=0), found.shape)
  np.testing.assert_allclose(found, mean, rtol=1e-6)
  none = smoothing.smooth(rows.au, timeline, smoothing.Smoothing())
  np.testing.assert_array_equal(none, rows.au)


@pytest.mark.parametrize(('sigma', 'delta'), [(1e5, 10), (1e4, 50), (18, 2)])
def test_the_published_smoothing_of_hse_is_exact(sigma, delta):
  # p'_i = sum_j k_ij p_j / sum_j k_ij, k_ij = exp(-(n_i - n_j)^2 / sigma), over the
  # rows j of the video at most delta places from i. Some gaps are wider than 4
  # standard deviations.
  rng = np.random.default_rng(0)
  videos = [np.cumsum(rng.choice([0, 1, 6, 400, 2000], 60)) for _ in range(2)]
  frames = np.concatenate(videos)
  rows = _rows(np.repeat(['a', 'b'], 60), frames)
  values = rng.uniform(size=[120, 3])
  want = []
  for i, n in enumerate(frames):
    start = i // 60 * 60
    near = range(max(start, i - delta), min(start + 60, i + delta + 1))
    k = [np.exp(-((n - frames[j]) ** 2) / sigma) for j in near]
    want.append(
        sum(w * values[j] for w, j in zip(k, near, strict=True)) / sum(k)
    )
  window = smoothing.Smoothing('gaussian', 'frame', (sigma / 2) ** 0.5, delta)
  order = rng.permutation(120)
  found = smoothing.smooth(
      values[order], smoothing.Timeline.from_rows(rows.take(order)), window
  )
  np.testing.assert_allclose(found, np.array(want)[order], rtol=1e-12)


def test_probabilities_stay_in_range_over_long_videos():
  n = 20_000
  values, timeline = _video(np.arange(n), np.zeros(n))
  values[: n // 2] = 1
  window = smoothing.Smoothing('mean', 'row', 7.0)
  found = smoothing.smooth(values, timeline, window)
  assert found.min() >= 0
  assert found.max() <= 1
