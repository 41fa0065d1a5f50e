"""The image of a row: as it is stored, or the face cut out of it."""

import pathlib

from jaxtyping import UInt8
import numpy as np

from abaw_jax.data_builders import images
from abaw_jax.data_builders.face_images import faces
from abaw_jax.data_builders.labelled import rows as rows_lib


def problem(row: rows_lib.Row, *, decode: bool) -> str | None:
  """Returns why the image of a row cannot be used, or None.

  Without `decode` it only has to be there.
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
  """Returns the bytes of a record: untouched, unless a face is cut or resized.

  Those are JPEG of quality 95; resized is the centre square of the face.

  Raises:
    BrokenImage: the image is none, or the box lies outside.
  """
  data = _read(row.image)
  if row.box is None:
    return faces.store(data, face_size)
  face = cut(images.decode(data), row.box)
  return faces.encode(faces.square(face, face_size) if face_size else face)


def cut(
    image: UInt8[np.ndarray, 'h w 3'], box: rows_lib.Box | None
) -> UInt8[np.ndarray, 'fh fw 3']:
  """Returns the part of the image in the box, as far as it lies inside."""
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
  except OSError as error:
    raise images.BrokenImage(f'cannot be read: {error.strerror}') from error


def _missing(path: pathlib.Path) -> str:
  return f'missing; looked for it in {path.parent}'
