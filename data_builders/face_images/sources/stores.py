"""The bytes of an image, wherever it is stored."""

import contextlib
import pathlib
from typing import BinaryIO

from abaw_jax.data_builders import images
from abaw_jax.data_builders.face_images.sources import (
    archives,
    entries,
    ms_celeb,
    recordio,
)


def _open(path: pathlib.Path) -> BinaryIO:
  return path.open('rb')


# By the first item of Entry.at: how to open the file that the second names,
# and how to read an image from it with the others as arguments.
STORES = {
    'slice': (archives.open_archive, archives.read_slice),
    'record': (_open, recordio.read_image),
    'row': (_open, ms_celeb.read_row),
}


class Reader(contextlib.AbstractContextManager):
  """Reads images, and keeps the container of the last one open.

  Neighbours lie in one container behind each other, so that a compressed
  archive is read forwards only.
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
      raise images.BrokenImage('missing') from error
    except OSError as error:
      raise images.BrokenImage(f'cannot be read: {error.strerror}') from error

  def find(self, entry: entries.Entry) -> None:
    """Raises BrokenImage if the image is not where it should be."""
    store, *place = entry.at
    if store == 'broken':
      raise images.BrokenImage(*place)
    if store == 'file' and not (self._source / entry.name).is_file():
      raise images.BrokenImage('missing')

  def close(self) -> None:
    """Closes the container."""
    if self._file is not None:
      self._file.close()
    self._file = self._path = None

  def __exit__(self, *exception) -> None:
    self.close()
