"""Moves faces from frame to frame by optical flow."""

from collections.abc import Sequence

import cv2
from jaxtyping import Float32, UInt8
import numpy as np

from abaw_jax.faces import alignment
from abaw_jax.faces import face as face_lib

# Points on a grid in the middle of the box, without the background in its corners.
_GRID = np.stack(
    np.meshgrid(np.linspace(0.2, 0.8, 6), np.linspace(0.2, 0.8, 6)), -1
).reshape(-1, 2)
_WINDOW = (15, 15)
_LEVELS = 3
# A point that is followed forwards and backwards must return so close, as a part of
# the width of the face.
_MAX_RETURN = 0.05
_MIN_POINTS = 8


class Flow:
  """Follows points in faces by the pyramidal method of Lucas and Kanade.

  The points of a face that move forwards and back to the same place give a rotation,
  a scale and a shift, which move its landmarks and its box.
  """

  def __init__(self):
    """Starts without a frame."""
    self._last = None

  def start(self, image: UInt8[np.ndarray, 'h w 3']) -> None:
    """Takes the frame in which faces were detected."""
    self._last = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)

  def move(
      self,
      image: UInt8[np.ndarray, 'h w 3'],
      faces: Sequence[face_lib.Face],
  ) -> list[face_lib.Face | None]:
    """Returns the faces in the next frame; None for lost ones."""
    last = self._last
    self.start(image)
    if not faces:
      return []
    points = np.concatenate([_points(face) for face in faces])
    there = _follow(last, self._last, points)
    back = _follow(self._last, last, there)
    errors = np.linalg.norm(back - points, axis=1)
    parts = zip(
        faces,
        *(np.split(x, len(faces)) for x in (points, there, errors)),
        strict=True,
    )
    return [_moved(*part) for part in parts]


def _points(face: face_lib.Face) -> Float32[np.ndarray, 'n 2']:
  return np.float32(face.box[:2] + _GRID * (face.box[2:] - face.box[:2]))


def _follow(
    a: UInt8[np.ndarray, 'h w'],
    b: UInt8[np.ndarray, 'h w'],
    points: Float32[np.ndarray, 'n 2'],
) -> Float32[np.ndarray, 'n 2']:
  """Returns the points of `a` in `b`; NaN for points that are lost."""
  there, is_found, _ = cv2.calcOpticalFlowPyrLK(
      a, b, points[:, None], None, winSize=_WINDOW, maxLevel=_LEVELS
  )
  return np.where(is_found > 0, there[:, 0], np.float32(np.nan))


def _moved(
    face: face_lib.Face,
    points: Float32[np.ndarray, 'n 2'],
    there: Float32[np.ndarray, 'n 2'],
    errors: Float32[np.ndarray, 'n'],
) -> face_lib.Face | None:
  """Returns the face after the motion of most of its points."""
  # Comparisons with NaN are false.
  good = errors < _MAX_RETURN * (face.box[2] - face.box[0])
  if good.sum() < _MIN_POINTS:
    return None
  points, there = points[good], there[good]
  transform = alignment.similarity(points, there)
  residual = np.linalg.norm(_apply(transform, points) - there, axis=1)
  # Hair, hands and the background move in other ways.
  good = residual <= np.median(residual) * 1.5 + 0.05
  transform = alignment.similarity(points[good], there[good])
  centre = _apply(transform, (face.box[:2] + face.box[2:]) / 2)
  half = (face.box[2:] - face.box[:2]) / 2 * np.hypot(*transform[:, 0])
  landmarks = face.landmarks
  if landmarks is not None:
    landmarks = np.float32(_apply(transform, landmarks))
  box = np.float32(np.concatenate([centre - half, centre + half]))
  return face_lib.Face(box, landmarks, face.confidence)


def _apply(transform, points):
  return points @ transform[:, :2].T + transform[:, 2]
