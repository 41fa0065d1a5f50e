"""Missing frames are interpolated linearly between predicted frames."""

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import interpolation
from tests.scoring import rows as made


def _ramp(frames):
  """Returns rows of a video whose outputs are proportional to the frame."""
  rows = made.make(videos=1, frames=len(frames))
  frames = np.array(frames)
  rows.frame_id[:], rows.row[:] = frames, np.arange(len(frames))
  rows.valence[:], rows.arousal[:] = frames / 100, -frames / 100
  rows.expression[:] = np.eye(8)[0] + np.outer(
      frames / 100, np.eye(8)[1] - np.eye(8)[0]
  )
  rows.au[:] = frames[:, None] / 100
  return rows


def _fill(rows, frames, row=None):
  n = len(frames)
  return interpolation.fill(
      rows,
      video=np.full(n, 'video0'),
      frame_id=np.array(frames),
      row=np.arange(100, 100 + n) if row is None else np.array(row),
  )


def test_missing_frames_of_a_line_are_on_the_line():
  # A published implementation swaps the weights of the neighbours: frame 20
  # between 10 and 90 would get 0.8.
  filled = _fill(_ramp([10, 90]), [20, 50, 80])
  np.testing.assert_allclose(filled.valence, [0.2, 0.5, 0.8])
  np.testing.assert_allclose(filled.arousal, [-0.2, -0.5, -0.8])
  np.testing.assert_allclose(filled.au[:, 3], [0.2, 0.5, 0.8])
  np.testing.assert_allclose(filled.expression[:, 1], [0.2, 0.5, 0.8])
  np.testing.assert_allclose(filled.expression.sum(axis=-1), 1)


def test_edges_are_repeated():
  filled = _fill(_ramp([10, 90]), [1, 95])
  np.testing.assert_allclose(filled.valence, [0.1, 0.9])


def test_predicted_rows_are_kept_and_repeated_frames_are_filled():
  rows = _ramp([10, 10, 90])
  rows.valence[1] = 0.3
  filled = _fill(rows, [90, 10, 10, 10], row=[2, 1, 0, 7])
  # The last row repeats a frame: it gets the mean of its predictions.
  np.testing.assert_allclose(filled.valence, [0.9, 0.3, 0.1, 0.2])
  assert not filled.labelled


def test_videos_do_not_mix():
  rows = made.make(videos=3)
  lines = np.sort(rows.row)
  by_row = rows.take(np.argsort(rows.row))
  keep = rows.take(np.random.default_rng(0).random(len(rows)) < 0.8)
  filled = interpolation.fill(
      keep, video=by_row.video, frame_id=by_row.frame_id, row=lines
  )
  for name in np.unique(rows.video):
    same = by_row.video == name
    bounds = keep.au[keep.video == name]
    assert (filled.au[same] >= bounds.min(axis=0) - 1e-12).all()
    assert (filled.au[same] <= bounds.max(axis=0) + 1e-12).all()


def test_a_video_without_any_prediction_is_named():
  rows = made.make(videos=1)
  with pytest.raises(
      errors.InputError, match=r'row 5 \(video b, frame 3\): its vid'
  ):
    interpolation.fill(
        rows,
        video=np.array(['b']),
        frame_id=np.array([3]),
        row=np.array([5]),
    )
