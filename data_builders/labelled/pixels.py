"""The image of a row: the stored file, or the face cropped from it."""

import pathlib

from jaxtyping import UInt8
import numpy as np

from abaw_jax.core import storage_errors, text_files
from abaw_jax.data_builders import images
from abaw_jax.data_builders.face_images import image_encoding
from abaw_jax.data_builders.labelled import rows as rows_lib


def problem(row: rows_lib.Row, *, decode: bool) -> str | None:
  """Returns why the image of a row cannot be used, or None.

  Without `decode`, the image only has to exist.
  """
  if not decode:
    there = isinstance(row.image, bytes) or row.image.is_file()
    return None if there else _missing(row.image)
  try:
    cut(images.decode(_read(row.image)), row.box)
  except images.BrokenImage as error:
    return str(error)
  return None


def stored(row: rows_lib.Row, face_size: int) -> bytes:
  """Returns the image bytes of a record.

  They are the bytes of the file, or a JPEG of quality 95 if the face is cropped
  at its box or resized to a centre square of `face_size` pixels.

  Raises:
    BrokenImage: the file is not an image, or the box lies outside.
  """
  data = _read(row.image)
  if row.box is None:
    return image_encoding.store(data, face_size)
  face = cut(images.decode(data), row.box)
  if face_size:
    face = image_encoding.square(face, face_size)
  return image_encoding.encode(face)


def cut(
    image: UInt8[np.ndarray, 'h w 3'], box: rows_lib.Box | None
) -> UInt8[np.ndarray, 'fh fw 3']:
  """Returns the part of the box that lies inside the image.

  Raises:
    BrokenImage: no part of the box does.
  """
  if box is None:
    return image
  height, width = image.shape[:2]
  left, top, right, bottom = (
      round(value)
      for value in (box[0], box[1], box[0] + box[2], box[1] + box[3])
  )
  face = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
  if not face.size:
    raise images.BrokenImage(
        f'the face box {left},{top} to {right},{bottom} lies outside its'
        f' {width}x{height} pixels'
    )
  return face


def _read(image: pathlib.Path | bytes) -> bytes:
  if isinstance(image, bytes):
    return image
  try:
    return image.read_bytes()
  except FileNotFoundError as error:
    raise images.BrokenImage(_missing(image)) from error
  except storage_errors.ERRORS as error:
    reason = storage_errors.reason(error)
    raise images.BrokenImage(f'cannot be read: {reason}') from error


def _missing(path: pathlib.Path) -> str:
  return f'missing in {path.parent}{text_files.wrong_encoding(path.name)}'
