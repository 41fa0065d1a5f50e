"""Fills short gaps of a face by interpolation, on request."""

import collections
from collections.abc import Sequence
import dataclasses

from abaw_jax.tables import rows


class GapFilling:
  """Holds frames back until the gaps in them are filled or too long.

  A gap is a face that is missing in some frames and returns with the same face_id.
  Box, landmarks, values and confidence are linear in time between the two ends. Filled
  rows have `interpolated` set.
  """

  def __init__(self, longest: float):
    """Starts without frames.

    Args:
      longest: largest number of seconds between the two ends of a filled gap.
    """
    self._longest = longest
    self._frames: collections.deque[rows.FrameRows] = collections.deque()
    # Where each face was found last: the frame and its row.
    self._last: dict[int, tuple[rows.FrameRows, rows.FaceRow]] = {}

  def push(self, frames: Sequence[rows.FrameRows]) -> list[rows.FrameRows]:
    """Adds the next frames; returns the frames that are final, in order."""
    done = []
    for frame in frames:
      self._frames.append(frame)
      for face in frame.faces:
        if face.face_id in self._last:
          self._fill(*self._last[face.face_id], frame, face)
        self._last[face.face_id] = frame, face
      self._last = {
          face_id: (last, face)
          for face_id, (last, face) in self._last.items()
          if frame.timestamp - last.timestamp <= self._longest
      }
      open_since = min(
          (last.index for last, _ in self._last.values()),
          default=frame.index,
      )
      while self._frames and self._frames[0].index <= open_since:
        done.append(self._frames.popleft())
    return done

  def finish(self) -> list[rows.FrameRows]:
    """Returns the frames that are left."""
    left = list(self._frames)
    self._frames.clear()
    return left

  def _fill(
      self,
      start: rows.FrameRows,
      first: rows.FaceRow,
      stop: rows.FrameRows,
      last: rows.FaceRow,
  ) -> None:
    """Adds the face to the frames between two frames, if they are close."""
    seconds = stop.timestamp - start.timestamp
    if not 0 < seconds <= self._longest:
      return
    for i, frame in enumerate(self._frames):
      if not start.index < frame.index < stop.index:
        continue
      share = (frame.timestamp - start.timestamp) / seconds
      face = dataclasses.replace(
          first,
          **{
              name: (1 - share) * getattr(first, name)
              + share * getattr(last, name)
              for name in ('confidence', 'geometry', 'values')
          },
          detected=False,
          is_read=False,
          interpolated=True,
      )
      faces = sorted((*frame.faces, face), key=lambda x: x.face_id)
      self._frames[i] = dataclasses.replace(frame, faces=tuple(faces))
