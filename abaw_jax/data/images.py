"""From encoded images to the pixels of square faces."""

import cv2
from jaxtyping import UInt8
import numpy as np
import simplejpeg

from abaw_jax.core import errors

# Readers run in threads or processes of their own: OpenCV's would only compete.
cv2.setNumThreads(1)


def fill(out: UInt8[np.ndarray, 's s 3'], encoded: bytes) -> None:
  """Fills `out` with the central square of an encoded image; see `decode`.

  Resampled where it has another size, as `square` does.

  Raises:
    InputError: the bytes are no image.
  """
  if _is_plain(encoded):
    try:
      image = simplejpeg.decode_jpeg(encoded, buffer=out)
      if image.shape == out.shape:
        return
    except ValueError:  # no intact JPEG, or one that is larger than `out`
      image = decode(encoded)
  else:
    image = decode(encoded)
  out[...] = square(image, size=len(out))


def decode(encoded: bytes) -> UInt8[np.ndarray, 'h w 3']:
  """Returns the RGB pixels of an encoded image, equal to what Pillow decodes.

  Turned upright where EXIF data say how.

  Raises:
    InputError: the bytes are no image.
  """
  if _is_plain(encoded):
    try:
      # Up to a quarter faster than OpenCV, but for intact JPEG only.
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
  """Returns the largest central square of an image at `size` x `size`.

  By area where it shrinks and by a cubic filter where it grows.
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
  """Returns whether the image needs no turning, if it is a JPEG."""
  # EXIF data come in the first segment or right behind that of JFIF.
  return b'Exif' not in encoded[:64]
