"""Finds cuts between shots, by small pictures of the frames."""

import itertools

import cv2
from jaxtyping import Float32, UInt8
import numpy as np

_SIZE = (32, 18)
_MIN_DIFFERENCE = 0.5
_NOISE = 4.0  # grey levels
# A camera may turn by so many pixels from frame to frame: an eighth of the picture.
_PAN = range(-4, 5), range(-2, 3)


class CutDetector:
  """Compares each frame with the one before."""

  def __init__(self):
    """Starts before the first frame."""
    self._last = None

  def is_cut(self, image: UInt8[np.ndarray, 'h w 3']) -> bool:
    """Returns whether a new shot starts with this frame; not for the first.

    A frame of another size starts one, too.
    """
    small = cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
    small = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    last, self._last = self._last, (image.shape, small)
    if last is None:
      return False
    shape, before = last
    return shape != image.shape or (
        difference(before, small) > _MIN_DIFFERENCE
        and _after_pan(before, small) > _MIN_DIFFERENCE
    )


def difference(
    a: Float32[np.ndarray, 'h w 3'], b: Float32[np.ndarray, 'h w 3']
) -> float:
  """Returns 0 for equal pictures, about 1 for unrelated ones, 2 for negatives.

  It is the squared distance without the means, so that a lamp or a flash changes
  little, as a part of the variances.
  """
  a, b = (x - x.mean((0, 1)) for x in (a, b))
  noise = _NOISE**2 * a.size
  return float(((a - b) ** 2).sum() / ((a * a).sum() + (b * b).sum() + noise))


def _after_pan(
    a: Float32[np.ndarray, 'h w 3'], b: Float32[np.ndarray, 'h w 3']
) -> float:
  """Returns the smallest difference in the part that both show after a shift."""
  return min(
      difference(_shifted(a, x, y), _shifted(b, -x, -y))
      for x, y in itertools.product(*_PAN)
  )


def _shifted(
    a: Float32[np.ndarray, 'h w 3'], x: int, y: int
) -> Float32[np.ndarray, 'H W 3']:
  """Returns the picture without the first rows and columns, or the last."""
  height, width = a.shape[:2]
  return a[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
