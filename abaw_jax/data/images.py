"""Decodes images and cuts them to squares."""

import cv2
from jaxtyping import UInt8
import numpy as np
import simplejpeg

from abaw_jax.core import errors

# The pipeline has its own threads and processes; more threads would only compete.
cv2.setNumThreads(1)


def fill(out: UInt8[np.ndarray, 's s 3'], encoded: bytes) -> None:
  """Decodes an image and writes its central square to `out`, see `square`.

  Args:
    out: array to fill.
    encoded: content of an image file.

  Raises:
    InputError: the bytes are not an image.
  """
  if _is_plain(encoded):
    try:
      image = simplejpeg.decode_jpeg(encoded, buffer=out)
      if image.shape == out.shape:
        return
    except ValueError:  # damaged, or larger than `out`
      image = decode(encoded)
  else:
    image = decode(encoded)
  out[...] = square(image, size=len(out))


def decode(encoded: bytes) -> UInt8[np.ndarray, 'h w 3']:
  """Returns the RGB pixels of an encoded image.

  The pixels are equal to those of Pillow. The image is rotated as its EXIF data
  say.

  Raises:
    InputError: the bytes are not an image.
  """
  if _is_plain(encoded):
    try:
      # Up to a quarter faster than OpenCV, but only for intact JPEG files.
      return simplejpeg.decode_jpeg(encoded)
    except ValueError:
      pass  # OpenCV decides whether it is an image
  image = None
  if encoded:
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
  if image is None:
    raise errors.InputError(
        f'image cannot be decoded ({len(encoded)} bytes); replace the file and '
        'build the dataset again'
    )
  return image


def square(
    image: UInt8[np.ndarray, 'h w 3'], *, size: int
) -> UInt8[np.ndarray, '{size} {size} 3']:
  """Returns the largest central square of an image, resized to `size` x `size`.

  Smaller sizes use area interpolation, larger sizes cubic interpolation.
  """
  height, width = image.shape[:2]
  side = min(height, width)
  top, left = (height - side) // 2, (width - side) // 2
  image = image[top : top + side, left : left + side]
  if side == size:
    return image
  return cv2.resize(
      image,
      (size, size),
      interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC,
  )


def _is_plain(encoded: bytes) -> bool:
  """Returns whether the image has no EXIF data, if it is a JPEG."""
  # They can be in any segment before the scan. A match elsewhere costs only time:
  # OpenCV looks again, and decodes to the same pixels.
  return b'Exif\0\0' not in encoded
