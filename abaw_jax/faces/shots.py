"""Finds cuts between shots, by small pictures of the frames."""

import cv2
from jaxtyping import UInt8
import numpy as np

_SIZE = (32, 18)
_MIN_DIFFERENCE = 0.6


class CutDetector:
  """Compares each frame with the one before."""

  def __init__(self):
    """Starts before the first frame."""
    self._last = None

  def is_cut(self, image: UInt8[np.ndarray, 'h w 3']) -> bool:
    """Returns whether a new shot starts with this frame; not for the first."""
    small = cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
    small = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    last, self._last = self._last, small
    return last is not None and difference(last, small) > _MIN_DIFFERENCE


def difference(a: np.ndarray, b: np.ndarray) -> float:
  """Returns 1 minus the correlation of two pictures."""
  a, b = (x - x.mean((0, 1)) for x in (a, b))
  return 1 - float(
      (a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6)
  )
