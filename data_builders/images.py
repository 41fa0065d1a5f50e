"""Decodes images and finds incomplete files."""

import pathlib

import cv2
from jaxtyping import UInt8
import numpy as np

# The caller reports a broken image with its name, which OpenCV does not know.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
_JPEG = b'\xff\xd8'
# File name suffixes of formats that OpenCV can read.
SUFFIXES = frozenset(
    [
        '.bmp',
        '.jfif',
        '.jp2',
        '.jpe',
        '.jpeg',
        '.jpg',
        '.pgm',
        '.png',
        '.ppm',
        '.tif',
        '.tiff',
        '.webp',
    ]
)


class BrokenImage(Exception):
  """The bytes are not a complete image; the message gives the reason."""


def _jpeg_ends(data: bytes) -> bool:
  # Inside a scan 0xFF is always escaped (ITU-T T.81, B.1.1.3). So a complete file
  # has an end marker after its last start of scan, and a truncated file has not,
  # also with a thumbnail at the start or padding at the end.
  return data.rfind(b'\xff\xd9') > data.rfind(b'\xff\xda')


# First bytes -> (name of the format, whether data have its end marker). Decoders
# fill missing pixels with grey without an error.
_FORMATS = {
    _JPEG: ('JPEG', _jpeg_ends),
    b'\x89PNG': ('PNG', lambda data: b'IEND' in data[-4096:]),
}


def decode(data: bytes) -> UInt8[np.ndarray, 'h w 3']:
  """Returns the pixels of an image in any format of OpenCV, as BGR.

  Raises:
    BrokenImage: the bytes are not an image, or end too early.
  """
  if not data:
    raise BrokenImage('empty')
  name, ends = next(
      (known for start, known in _FORMATS.items() if data.startswith(start)),
      ('file', None),
  )
  if ends and not ends(data):
    raise BrokenImage(f'cut off: the {name} has no end marker')
  try:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
  except cv2.error as error:
    raise BrokenImage(f'the {name} cannot be decoded: {error.err}') from error
  if pixels is None:
    raise BrokenImage(
        f'the {name} cannot be decoded' if ends else 'not a complete image'
    )
  return pixels


def jpeg_problem(data: bytes) -> str | None:
  """Returns why `data` is not a complete JPEG that decodes, or None if it is."""
  if not data.startswith(_JPEG):
    return 'not a JPEG file'
  try:
    decode(data)
  except BrokenImage as error:
    return str(error)
  return None


def file_problem(path: pathlib.Path) -> str | None:
  """Returns why the file is not a complete JPEG that decodes, or None."""
  try:
    data = path.read_bytes()
  except OSError as error:
    return f'cannot be read: {error.strerror}'
  return jpeg_problem(data)
