"""Image files: complete or refused when they are read, PNG or JPEG when written."""

import io
from typing import NamedTuple
import warnings

from jaxtyping import UInt8
import numpy as np
from PIL import Image
import simplejpeg

from abaw_jax.core import errors
from abaw_jax.data import images
from abaw_jax.telemetry import grid

FORMATS = ('same', 'png', 'jpeg')
JPEG_SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif')
SUFFIXES = (
    *JPEG_SUFFIXES, '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm',
)  # fmt: skip
_JPEG = b'\xff\xd8'


class Encoding(NamedTuple):
  """Format of new images.

  Attributes:
    format: 'png', 'jpeg', or 'same': JPEG for a JPEG, and PNG for any other.
    quality: of JPEGs, from 1 to 100.
  """

  format: str = 'same'
  quality: int = 95

  def is_jpeg(self, original: bool) -> bool:
    """Returns whether a new image is a JPEG; `original` is the old one's."""
    return original if self.format == 'same' else self.format == 'jpeg'

  def suffix(self, old: str) -> str:
    """Returns the suffix for the new version of a file with the suffix `old`."""
    is_jpeg = old.lower() in JPEG_SUFFIXES
    if not self.is_jpeg(is_jpeg):
      return old if old.lower() == '.png' else '.png'
    return old if is_jpeg else '.jpg'

  def encode(self, pixels: UInt8[np.ndarray, 'h w 3'], *, jpeg: bool) -> bytes:
    """Returns RGB pixels as the content of a file."""
    if not jpeg:
      return grid.encode_png(pixels)
    return simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), self.quality, 'RGB', '420', fastdct=False
    )


def is_jpeg(encoded: bytes) -> bool:
  """Returns whether the content of a file is a JPEG."""
  return encoded.startswith(_JPEG)


def decode(encoded: bytes) -> UInt8[np.ndarray, 'h w 3']:
  """Returns the RGB pixels of a complete image.

  Raises:
    InputError: the bytes are not an image, or end too early.
  """
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # about large images
      with Image.open(io.BytesIO(encoded)) as picture:
        picture.load()
  except Exception as e:  # decoders raise errors of many types
    reason = str(e).partition('\n')[0]
    if 'cannot identify' in reason:
      reason = 'not an image' if encoded else 'empty'
    raise errors.InputError(reason) from e
  try:
    return images.decode(encoded)
  except errors.InputError as e:
    raise errors.InputError(f'{picture.format} cannot be decoded') from e
