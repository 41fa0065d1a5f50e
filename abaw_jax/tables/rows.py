"""Frames with their faces, on their way from the reader to the table."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
from typing import Any, NamedTuple

from jaxtyping import Float32, Int, UInt8
import numpy as np

# Points of a face, in the order of `faces.Face`; left and right as in the image.
POINTS = ('eye_left', 'eye_right', 'nose', 'mouth_left', 'mouth_right')
BOX = ('left', 'top', 'right', 'bottom')
GEOMETRY = (*BOX, *(f'{point}_{axis}' for point in POINTS for axis in 'xy'))


class FrameFaces(NamedTuple):
  """A frame with the aligned faces in it."""

  index: int  # number of the frame in the clip
  timestamp: float  # seconds
  is_corrupt: bool
  faces: Sequence[Any]  # `faces.TrackedFace`, by face_id
  crops: UInt8[np.ndarray, 'n s s 3']  # aligned


@dataclasses.dataclass(frozen=True, eq=False)
class FaceRow:
  """A face in a frame, with its predictions."""

  face_id: int
  confidence: float  # of the detector
  detected: bool  # False: the position comes from tracking only
  geometry: Float32[np.ndarray, '14']  # GEOMETRY in pixels; NaN = unknown
  values: Float32[np.ndarray, 'v']  # `Layout.names`
  is_read: bool = True  # False: the backbone has not seen this face
  interpolated: bool = False  # False: the face was found in this frame


@dataclasses.dataclass(frozen=True, eq=False)
class FrameRows:
  """A frame with the rows of its faces, by face_id."""

  index: int
  timestamp: float
  is_corrupt: bool
  faces: tuple[FaceRow, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
  """The predicted values of a row, as one vector.

  Attributes:
    va: whether there are valence and arousal.
    expressions: names of the expressions, in order; empty = none.
    aus: names of the action units, in order; empty = none.
  """

  va: bool
  expressions: tuple[str, ...]
  aus: tuple[str, ...]

  @classmethod
  def from_predictor(cls, predictor: Any) -> Layout:
    """Returns the layout of the outputs of a `bundles.Predictor`."""
    outputs = predictor.outputs
    return cls(
        va='valence' in outputs,
        expressions=tuple(predictor.expressions)
        if 'expression' in outputs
        else (),
        aus=tuple(predictor.au_names) if 'au' in outputs else (),
    )

  @property
  def names(self) -> tuple[str, ...]:
    """Columns of the values."""
    va = ('valence', 'arousal') if self.va else ()
    return (*va, *(f'expr_{name}' for name in self.expressions), *self.aus)

  @property
  def expression(self) -> slice:
    """Position of the probabilities of expressions."""
    start = 2 * self.va
    return slice(start, start + len(self.expressions))

  @property
  def au(self) -> slice:
    """Position of the probabilities of action units."""
    start = self.expression.stop
    return slice(start, start + len(self.aus))

  def matrix(self, rows: Any) -> Float32[np.ndarray, 'n v']:
    """Returns the values of n `bundles.Rows`."""
    if not len(rows.frame_index):
      return np.zeros([0, len(self.names)], np.float32)
    parts = []
    if self.va:
      parts += [rows.valence[:, None], rows.arousal[:, None]]
    if self.expressions:
      parts.append(rows.expression)
    if self.aus:
      parts.append(rows.au)
    return np.concatenate(parts, axis=1, dtype=np.float32)

  def most_probable(
      self, values: Float32[np.ndarray, 'n v']
  ) -> Int[np.ndarray, 'n']:
    """Returns the index of the most probable expression."""
    return np.argmax(values[:, self.expression], axis=1)


def geometry(face: Any) -> Float32[np.ndarray, '14']:
  """Returns box and landmarks of a `faces.Face`."""
  points = np.full(10, np.nan, np.float32)
  if face.landmarks is not None:
    points = np.asarray(face.landmarks, np.float32).reshape(-1)
  return np.concatenate([np.asarray(face.box, np.float32), points])
