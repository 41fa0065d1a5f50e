"""Whether an image file is a whole JPEG."""

import pathlib

import cv2
import numpy as np

_START_OF_IMAGE = b'\xff\xd8'
_START_OF_SCAN = b'\xff\xda'
_END_OF_IMAGE = b'\xff\xd9'


def jpeg_problem(data: bytes) -> str | None:
  """Returns why `data` is not a whole, decodable JPEG, or None if it is one.

  Decoders fill the missing part of a cut-off JPEG with grey and say nothing,
  so the markers are checked first (ITU-T T.81, B.1.1.3). Inside a scan 0xFF is
  always escaped: a whole file has an end marker behind its last start of scan,
  a cut-off one has not, be there a thumbnail in front or padding behind.
  """
  if not data.startswith(_START_OF_IMAGE):
    return 'not a JPEG file'
  if data.rfind(_END_OF_IMAGE) <= data.rfind(_START_OF_SCAN):
    return 'cut off: the JPEG has no end marker'
  try:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
  except cv2.error as error:
    return f'the JPEG cannot be decoded: {error.err}'
  return None if pixels is not None else 'the JPEG cannot be decoded'


def file_problem(path: pathlib.Path) -> str | None:
  """Returns why the file is not a whole, decodable JPEG, or None."""
  try:
    data = path.read_bytes()
  except OSError as error:
    return f'cannot be read: {error.strerror}'
  return jpeg_problem(data)
