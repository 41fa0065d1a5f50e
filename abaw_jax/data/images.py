"""Decodes images and resizes them to squares."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
from jaxtyping import UInt8
import numpy as np
from PIL import Image
import simplejpeg

from abaw_jax.core import choices, errors

# The pipeline has its own threads and processes; more threads would only compete.
cv2.setNumThreads(1)

FITS = ('crop', 'squash')
_PILLOW = {
    'bilinear': Image.Resampling.BILINEAR,
    'bicubic': Image.Resampling.BICUBIC,
}
FILTERS = ('opencv', 'opencv_linear', *_PILLOW)


class Resizing(NamedTuple):
  """How an image becomes a square.

  Attributes:
    fit: 'crop' keeps the largest central square, 'squash' the full image.
    filter: 'opencv' is area interpolation for smaller sizes and cubic for larger
      ones, without antialiasing; 'opencv_linear' is not antialiased either;
      'bilinear' and 'bicubic' are those of Pillow, antialiased.
  """

  fit: str = 'crop'
  filter: str = 'opencv'

  @classmethod
  def from_config(cls, augment: Mapping[str, Any]) -> 'Resizing':
    """Returns the values in an `augment` section; older ones have none.

    Raises:
      InputError: a value is unknown.
    """
    resizing = cls(**{k: augment[k] for k in cls._fields if k in augment})
    choices.choose(dict.fromkeys(FITS), resizing.fit, 'augment.fit')
    choices.choose(dict.fromkeys(FILTERS), resizing.filter, 'augment.filter')
    return resizing


OURS = Resizing()


def fill(
    out: UInt8[np.ndarray, 's s 3'],
    encoded: bytes | UInt8[np.ndarray, 's s 3'],
    resizing: Resizing = OURS,
) -> None:
  """Decodes an image and writes it to `out` as a square, see `square`.

  Args:
    out: array to fill.
    encoded: content of an image file, or a result of this function.
    resizing: how the image becomes a square.

  Raises:
    InputError: the bytes are not an image.
  """
  if isinstance(encoded, np.ndarray):
    out[...] = encoded
    return
  if _is_plain(encoded):
    try:
      image = simplejpeg.decode_jpeg(encoded, buffer=out)
      if image.shape == out.shape:
        return
    except ValueError:  # damaged, or larger than `out`
      image = decode(encoded)
  else:
    image = decode(encoded)
  out[...] = square(image, size=len(out), resizing=resizing)


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
    image: UInt8[np.ndarray, 'h w 3'],
    *,
    size: int,
    resizing: Resizing = OURS,
) -> UInt8[np.ndarray, '{size} {size} 3']:
  """Returns an image, or its central square, resized to `size` x `size`."""
  height, width = image.shape[:2]
  if resizing.fit == 'crop':
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
    height, width = side, side
  if height == width == size:
    return image
  enlarges = size >= max(height, width)
  # Equal to Pillow for larger sizes within one grey level, and faster.
  linear = resizing.filter == 'bilinear' and enlarges
  if resizing.filter in _PILLOW and not linear:
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture = picture.resize((size, size), _PILLOW[resizing.filter])
    return np.asarray(picture)
  if resizing.filter == 'opencv':
    method = cv2.INTER_CUBIC if enlarges else cv2.INTER_AREA
  else:
    method = cv2.INTER_LINEAR
  return cv2.resize(image, (size, size), interpolation=method)


def _is_plain(encoded: bytes) -> bool:
  """Returns whether the image has no EXIF data, if it is a JPEG."""
  # They can be in any segment before the scan. A match elsewhere costs only time:
  # OpenCV looks again, and decodes to the same pixels.
  return b'Exif\0\0' not in encoded
