"""Rows of one track: post-processing while its frames arrive."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

from jaxtyping import Bool, Float, Int
import numpy as np

from abaw_jax.core import labels
from abaw_jax.postprocessing import postprocess, smoothing
from abaw_jax.scoring import predictions

FIELDS = ('valence', 'arousal', 'expression', 'au')


class Rows(NamedTuple):
  """Predictions of n frames of a track, in order; None for a missing output.

  Attributes:
    frame_index: number of each frame in its clip, as the caller gave it.
    timestamp: its time in seconds, as the caller gave it.
    valence: in about [-1, 1]; a linear output has no limit.
    arousal: as valence.
    expression: probabilities of `Predictor.expressions`, after calibration.
    au: probabilities of `Predictor.au_names`, after calibration.
    au_decisions: whether each AU is present: its probability is at least 0.5.
  """

  frame_index: Int[np.ndarray, 'n']
  timestamp: Float[np.ndarray, 'n']
  valence: Float[np.ndarray, 'n'] | None
  arousal: Float[np.ndarray, 'n'] | None
  expression: Float[np.ndarray, 'n k'] | None
  au: Float[np.ndarray, 'n a'] | None
  au_decisions: Bool[np.ndarray, 'n a'] | None

  def __len__(self) -> int:
    """Returns n, not the number of fields."""
    return len(self.frame_index)


class RowBuffer:
  """Blends, smooths and calibrates the outputs of the networks of one track.

  The results are those of `Postprocessing.apply` on the full track. A row is final
  when its smoothing windows are complete. Live, a row is final at once, and its
  smoothing windows end with it. Only rows that later windows need are kept.
  """

  def __init__(
      self,
      postprocessing: postprocess.Postprocessing,
      *,
      num_members: int,
      live: bool,
  ):
    self._postprocessing = postprocessing
    self._live = live
    self._frame_index = np.empty(0, np.int64)
    self._timestamp = np.empty(0)
    self._members: list[dict[str, np.ndarray]] = [
        {} for _ in range(num_members)
    ]
    self._emitted = 0  # of the rows that are kept, those that were returned

  def expect(
      self,
      frame_index: Int[np.ndarray, 'n'],
      timestamp: Float[np.ndarray, 'n'],
  ) -> None:
    """Adds frames whose outputs come later."""
    self._frame_index = np.concatenate([self._frame_index, frame_index])
    self._timestamp = np.concatenate([self._timestamp, timestamp])

  def add(self, member: int, output: Mapping[str, np.ndarray]) -> None:
    """Adds the outputs of one network for its next frames, by name."""
    kept = self._members[member]
    for name, values in output.items():
      old = kept.get(name, values[:0])
      kept[name] = np.concatenate([old, values.astype(np.float64)])

  def take(
      self, *, finished: bool = False
  ) -> tuple[
      Int[np.ndarray, 'n'], Float[np.ndarray, 'n'], predictions.Predictions
  ]:
    """Returns (frame numbers, times, predictions) of the rows that are now final.

    `finished` means that no more frames come.
    """
    ready = min(len(kept.get('expression', ())) for kept in self._members)
    final = ready if finished or self._live else self._num_final(ready)
    final = max(final, self._emitted)
    new = slice(self._emitted, final)
    if self._live:
      parts = [
          self._apply(i + 1, slice(i, i + 1))
          for i in range(*new.indices(final))
      ]
      rows = (
          predictions.concatenate(parts) if parts else self._apply(final, new)
      )
    else:
      rows = self._apply(ready, new)
    result = self._frame_index[new], self._timestamp[new], rows
    self._emitted = final
    self._drop(self._first_needed(final))
    return result

  def _apply(self, count: int, new: slice) -> predictions.Predictions:
    """Returns the rows `new` of the post-processed first `count` rows."""
    if new.start == new.stop:  # there may be no outputs yet
      return predictions.Predictions(
          row=np.arange(0), expression=np.empty((0, labels.NUM_EXPRESSIONS))
      )
    members = [
        predictions.Predictions(
            video=np.full(count, 'track'),
            frame_id=self._frame_index[:count],
            row=np.arange(count),
            **{name: values[:count] for name, values in kept.items()},
        )
        for kept in self._members
    ]
    rows = self._postprocessing.apply(members)
    return rows.take(np.arange(new.start, new.stop))

  def _num_final(self, ready: int) -> int:
    """Returns the number of rows whose smoothing windows are complete."""
    if not ready:
      return 0
    frame = self._frame_index[:ready]
    final = ready
    for window in self._windows():
      rows, frames = window.reach
      by_row = ready - rows
      by_frame = np.searchsorted(frame, frame[-1] - frames, side='right')
      final = min(final, max(by_row, by_frame))
    return int(max(final, 0))

  def _first_needed(self, final: int) -> int:
    """Returns the first row in the smoothing window of row `final`."""
    first = final
    frame = self._frame_index
    for window in self._windows():
      rows, frames = window.reach
      by_frame = 0
      if final < len(frame):
        by_frame = np.searchsorted(frame, frame[final] - frames, side='left')
      elif len(frame):  # the next frame comes after the last one
        by_frame = np.searchsorted(frame, frame[-1] - frames, side='left')
      first = min(first, max(final - rows, by_frame))
    return int(max(first, 0))

  def _windows(self) -> list[smoothing.Smoothing]:
    return list(self._postprocessing.smoothing.values())

  def _drop(self, count: int) -> None:
    """Forgets the first `count` rows."""
    self._frame_index = self._frame_index[count:]
    self._timestamp = self._timestamp[count:]
    for kept in self._members:
      for name, values in kept.items():
        kept[name] = values[count:]
    self._emitted -= count


def without_smoothing(
    postprocessing: postprocess.Postprocessing,
) -> postprocess.Postprocessing:
  """Returns a postprocessing of single frames."""
  none = dict.fromkeys(postprocessing.smoothing, smoothing.Smoothing())
  return dataclasses.replace(postprocessing, smoothing=none)
