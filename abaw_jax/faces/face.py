"""A face in a frame, and the protocol of detectors."""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float32
import numpy as np

from abaw_jax.video import frames

Box = Float32[np.ndarray, '4']
Landmarks = Float32[np.ndarray, '5 2']


class Face(NamedTuple):
  """A face in a frame.

  Attributes:
    box: left, top, right, bottom in pixels; may reach out of the frame.
    landmarks: x and y in pixels of the left eye, right eye, tip of the nose, and
      left and right corner of the mouth, left and right in the image; None if the
      detector finds only boxes.
    confidence: 0 to 1.
  """

  box: Box
  landmarks: Landmarks | None
  confidence: float


class TrackedFace(NamedTuple):
  """A face with its identity in a clip.

  Attributes:
    face_id: 0, 1, ... in order of appearance; never used again.
    face: position in this frame.
    detected: False if the position comes from tracking only.
  """

  face_id: int
  face: Face
  detected: bool


@runtime_checkable
class Detector(Protocol):
  """Finds the faces of a frame. An instance belongs to one thread."""

  def __call__(self, frame: frames.Frame) -> list[Face]:
    """Returns all faces, the most confident first."""
