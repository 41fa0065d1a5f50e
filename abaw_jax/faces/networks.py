"""Networks of detectors, run by OpenCV."""

import pathlib

import cv2
from jaxtyping import Float32, UInt8
import numpy as np

from abaw_jax.core import errors

_MULTIPLE = 32  # the networks halve their input five times


def read(path: pathlib.Path) -> cv2.dnn.Net:
  """Returns the network in an ONNX file.

  Raises:
    InputError: OpenCV cannot read it.
  """
  try:
    return cv2.dnn.readNetFromONNX(str(path))
  except cv2.error as e:
    raise unreadable(path) from e


def unreadable(path: pathlib.Path) -> errors.InputError:
  """Returns the error for a file that is not a network."""
  return errors.InputError(
      f'{path}: OpenCV cannot read this network; give an ONNX file of the detector'
  )


def to_frame(
    points: Float32[np.ndarray, 'n 2'], scale: float
) -> Float32[np.ndarray, 'n 2']:
  """Returns points of the result of `fit` in pixels of the image."""
  # Centres of pixels are whole numbers.
  return (points + 0.5) / scale - 0.5


def fit(
    image: UInt8[np.ndarray, 'h w 3'], long_side: int
) -> tuple[UInt8[np.ndarray, 'H W 3'], float]:
  """Reduces an image for a network; smaller ones keep their size.

  Args:
    image: the image.
    long_side: longest side of the result without its margin.

  Returns:
    The image with a black margin at the right and at the bottom, so that both sizes
    are multiples of 32, and its scale.
  """
  height, width = image.shape[:2]
  scale = min(long_side / max(height, width), 1.0)
  if scale < 1:
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
  bottom, right = (-side % _MULTIPLE for side in image.shape[:2])
  if bottom or right:
    image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
  return image, scale
