"""Reads the bytes of an image from a file, an archive, a pack or a table."""

import contextlib
import pathlib
from typing import BinaryIO

from abaw_jax.core import storage_errors, text_files
from abaw_jax.data_builders import images
from abaw_jax.data_builders.face_images.sources import (
    archives,
    entries,
    ms_celeb,
    recordio,
)


def _open(path: pathlib.Path) -> BinaryIO:
  return path.open('rb')


def _missing(entry: entries.Entry) -> str:
  return f'missing{text_files.wrong_encoding(entry.name)}'


# First item of Entry.at -> (open, read): `open` gets the path in the second item,
# `read` gets the open file and the other items.
STORES = {
    'slice': (archives.open_archive, archives.read_slice),
    'record': (_open, recordio.read_image),
    'row': (_open, ms_celeb.read_row),
}


class Reader(contextlib.AbstractContextManager):
  """Reads images, and keeps the container of the last image open.

  Consecutive entries follow each other in their container, so a compressed
  archive is only read forwards.
  """

  def __init__(self, source: pathlib.Path):
    self._source = source
    self._path = None
    self._file = None

  def read(self, entry: entries.Entry) -> bytes:
    """Returns the encoded image; raises BrokenImage if it cannot be read."""
    store, *place = entry.at
    if store == 'broken':
      raise images.BrokenImage(*place)
    try:
      if store == 'file':
        return (self._source / entry.name).read_bytes()
      open_file, read = STORES[store]
      path, *arguments = place
      if self._path != path:
        self.close()
        self._file, self._path = open_file(self._source / path), path
      return read(self._file, *arguments)
    except FileNotFoundError as error:
      raise images.BrokenImage(_missing(entry)) from error
    except storage_errors.ERRORS as error:
      reason = storage_errors.reason(error)
      raise images.BrokenImage(f'cannot be read: {reason}') from error

  def find(self, entry: entries.Entry) -> None:
    """Raises BrokenImage if the image does not exist."""
    store, *place = entry.at
    if store == 'broken':
      raise images.BrokenImage(*place)
    if store == 'file' and not (self._source / entry.name).is_file():
      raise images.BrokenImage(_missing(entry))

  def close(self) -> None:
    """Closes the container."""
    if self._file is not None:
      self._file.close()
    self._file = self._path = None

  def __exit__(self, *exception) -> None:
    self.close()
