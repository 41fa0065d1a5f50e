"""Adaptive reading: few faces where the expression is clear, all where it is not."""

import numpy as np
import pytest

from abaw_jax.clips import adaptive

STRIDES = (8, 4, 2, 1)


def read_all(runs, features, prob, threshold):
  """Returns (features, is_read) of a track that arrives in runs."""
  anchor, found, read = None, [], []
  start = 0
  for count in runs:
    index = np.arange(start, start + count)
    reading = adaptive.Reading(index.tolist(), STRIDES[0], anchor)
    for stride in STRIDES:
      at = reading.wanted(stride)
      reading.add(at, features[index[at]], prob[index[at]])
      reading.decide(threshold)
    anchor = reading.anchor()
    found.append(reading.features())
    read.append(reading.is_read)
    start += count
  return np.concatenate(found), np.concatenate(read)


@pytest.mark.parametrize('runs', [(65,), (1, 64), (32, 16, 17), (1, 1, 1, 62)])
def test_clear_faces_are_read_once_per_segment(runs):
  time = np.arange(65)[:, None]
  features = np.concatenate([3.0 * time, 7 - time], axis=1)
  prob = np.tile([0.9, 0.1], (65, 1))
  found, read = read_all(runs, features, prob, 0.8)
  np.testing.assert_allclose(found, features, rtol=1e-12)  # linear in time
  ends = np.cumsum(runs) - 1
  assert read[ends].all()  # the next run starts there
  if runs == (65,):
    assert np.flatnonzero(read).tolist() == list(range(0, 65, 8))


def test_unclear_faces_are_all_read():
  rng = np.random.default_rng(0)
  features = rng.normal(size=(50, 3))
  prob = np.tile([0.5, 0.5], (50, 1))
  found, read = read_all((20, 30), features, prob, 0.8)
  assert read.all()
  np.testing.assert_array_equal(found, features)


def test_only_the_unclear_segment_is_read_more_often():
  prob = np.tile([1.0, 0.0], (33, 1))
  prob[9:17] = [0.0, 1.0]
  _, read = read_all((33,), np.zeros([33, 1]), prob, 0.75)
  # Of 8, 12, 16 two are of the other class, and of 8, 10, .. 16 four of five.
  assert np.flatnonzero(read).tolist() == [0, *range(8, 25, 2), 32]


def test_a_gap_in_time_counts_in_the_interpolation():
  index = [0, 1, 10]
  reading = adaptive.Reading(index, 8, None)
  at = reading.wanted(8)
  assert at == [0, 2]
  reading.add(at, np.array([[0.0], [10.0]]), np.ones([2, 1]))
  reading.decide(0.5)
  np.testing.assert_allclose(reading.features()[:, 0], index)
