"""The stored bytes of an image: the file, or a JPEG of its centre square."""

import cv2
from jaxtyping import UInt8
import numpy as np

from abaw_jax.data_builders import images

QUALITY = 95


def square(
    pixels: UInt8[np.ndarray, 'h w 3'], size: int
) -> UInt8[np.ndarray, 'size size 3']:
  """Returns the centre square, resized by area (smaller) or cubic (larger)."""
  height, width = pixels.shape[:2]
  side = min(height, width)
  top, left = (height - side) // 2, (width - side) // 2
  crop = pixels[top : top + side, left : left + side]
  if side == size:
    return crop
  filter_ = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
  return cv2.resize(crop, (size, size), interpolation=filter_)


def store(data: bytes, face_size: int) -> bytes:
  """Returns the bytes of a record.

  Args:
    data: bytes of the image file, which are always decoded as a check.
    face_size: side of the stored JPEG in pixels; 0 returns `data`.

  Raises:
    BrokenImage: the image cannot be decoded.
  """
  pixels = images.decode(data)
  return encode(square(pixels, face_size)) if face_size else data


def encode(pixels: UInt8[np.ndarray, 'h w 3']) -> bytes:
  """Returns BGR pixels as a JPEG."""
  _, encoded = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
  return encoded.tobytes()
