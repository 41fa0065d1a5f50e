"""Summary of a table: one entry per clip and face."""

from collections.abc import Iterable, Sequence
import csv
import io
from typing import Any

import numpy as np

from abaw_jax.tables import rows

# The first columns of `to_csv`.
START = 'clip,face_id'


class _Sums:
  """Sums over the rows of one face."""

  def __init__(self, layout: rows.Layout):
    self.count = 0
    self.first = self.last = 0.0
    self._sum = np.zeros(len(layout.names))
    self._squares = np.zeros(len(layout.names))
    self._expressions = np.zeros(len(layout.expressions), int)
    self._present = np.zeros(len(layout.aus), int)
    self._layout = layout

  def add(self, timestamp: float, row: rows.FaceRow) -> None:
    self.first = self.first if self.count else timestamp
    self.last = timestamp
    self.count += 1
    values = row.values.astype(np.float64)
    self._sum += values
    self._squares += values**2
    if self._layout.expressions:
      best = self._layout.most_probable(row.values[None])[0]
      self._expressions[best] += 1
    self._present += row.values[self._layout.au] >= 0.5

  def entry(self, num_frames: int) -> dict[str, Any]:
    mean = self._sum / self.count
    std = np.sqrt(np.maximum(self._squares / self.count - mean**2, 0))
    found = {
        'frames': num_frames,
        'frames_found': self.count,
        'share_found': self.count / num_frames,
        'first_timestamp': self.first,
        'last_timestamp': self.last,
    }
    if self._layout.va:
      for i, name in enumerate(('valence', 'arousal')):
        found |= {f'{name}_mean': mean[i], f'{name}_std': std[i]}
    shares = self._expressions / self.count
    for name, share in zip(self._layout.expressions, shares, strict=True):
      found[f'share_{name}'] = share
    rates = self._present / self.count
    for name, rate in zip(self._layout.aus, rates, strict=True):
      found[f'rate_{name}'] = rate
    return {key: _plain(value) for key, value in found.items()}


class Summary:
  """Summary of the rows of one clip so far.

  Interpolated rows do not count.

  Attributes:
    frames: number of frames.
    frames_with_face: number of frames with at least one face.
    corrupt_frames: number of frames with damage.
  """

  def __init__(self, layout: rows.Layout):
    self.frames = self.frames_with_face = self.corrupt_frames = 0
    self._layout = layout
    self._faces: dict[int, _Sums] = {}

  def add(self, frames: Iterable[rows.FrameRows]) -> None:
    """Adds frames."""
    for frame in frames:
      found = [face for face in frame.faces if not face.interpolated]
      self.frames += 1
      self.frames_with_face += bool(found)
      self.corrupt_frames += frame.is_corrupt
      for face in found:
        if face.face_id not in self._faces:
          self._faces[face.face_id] = _Sums(self._layout)
        self._faces[face.face_id].add(frame.timestamp, face)

  def to_json(self, clip: str) -> dict[str, Any]:
    """Returns the summary as JSON: of the clip, and of each face."""
    return {
        'clip': clip,
        'frames': self.frames,
        'frames_with_face': self.frames_with_face,
        'corrupt_frames': self.corrupt_frames,
        'faces': [
            {'face_id': face_id} | self._faces[face_id].entry(self.frames)
            for face_id in sorted(self._faces)
        ],
    }


def to_csv(summaries: Sequence[dict[str, Any]]) -> str:
  """Returns a table of summaries with a row for each clip and face.

  A clip without a face has one row without `face_id`.
  """
  entries = [
      {'clip': one['clip']} | face
      for one in summaries
      for face in one['faces']
      or ({'frames': one['frames'], 'frames_found': 0, 'share_found': 0.0},)
  ]
  names = list(dict.fromkeys(name for entry in entries for name in entry))
  text = io.StringIO()
  writer = csv.DictWriter(text, _face_id_second(names), lineterminator='\n')
  writer.writeheader()
  writer.writerows(entries)
  return text.getvalue()


def _face_id_second(names: list[str]) -> list[str]:
  first = START.split(',')
  return [*first, *(name for name in names if name not in first)]


def _plain(value: Any) -> int | float:
  """Returns a number that JSON can hold."""
  return value if isinstance(value, int) else round(float(value), 6)
