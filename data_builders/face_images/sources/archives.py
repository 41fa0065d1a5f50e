"""Images inside tar archives, read without unpacking them."""

import bz2
from collections.abc import Iterator
import gzip
import lzma
import pathlib
import tarfile
from typing import BinaryIO
import zlib

from abaw_jax.core import errors
from abaw_jax.data_builders import images
from abaw_jax.data_builders.face_images.sources import entries, trees

# How to open an archive by its ending.
_OPENERS = {
    '.tar': open,
    '.tar.gz': gzip.open,
    '.tgz': gzip.open,
    '.tar.bz2': bz2.open,
    '.tar.xz': lzma.open,
}
_TORN = (EOFError, OSError, lzma.LZMAError, tarfile.TarError, zlib.error)


class _Tape:
  """A file that remembers what was read last."""

  def __init__(self, file: BinaryIO):
    self.last = b''
    self._file = file
    self.seek, self.tell = file.seek, file.tell

  def read(self, size: int) -> bytes:
    self.last = self._file.read(size)
    return self.last


def tar(
    source: pathlib.Path, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  """Yields the images of all archives, grouped by their folder in it.

  Raises:
    InputError: there is no archive, or one ends before its end.
  """
  found = False
  for name in trees.walk(source):
    if name.endswith(tuple(_OPENERS)):
      found = True
      yield from _members(source, name, ignored)
    else:
      ignored.add(name)
  if not found:
    raise errors.InputError(
        f'{source}: no archive; this layout reads {", ".join(_OPENERS)}'
    )


def _members(
    source: pathlib.Path, archive: str, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  place = ''
  try:
    with open_archive(source / archive) as file:
      tape = _Tape(file)
      with tarfile.open(fileobj=tape, mode='r:') as opened:
        while (member := opened.next()) is not None:
          opened.members.clear()  # it would keep millions of them
          place = f' behind {member.name}'
          name = f'{archive}!{member.name}'
          if member.isdir():
            continue
          if not entries.is_image(member.name):
            ignored.add(name)
            continue
          at = ('slice', archive, member.offset_data, member.size)
          if not member.isfile() or member.issparse():
            at = ('broken', 'a link or a sparse file, not the image itself')
          yield entries.Entry(name, at, entries.folder(member.name))
      # tarfile takes any damage behind the first member for the end.
      if tape.last != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError('no end-of-archive mark')
  except _TORN as error:
    raise errors.InputError(
        f'{source / archive}: torn{place} ({error}); copy or pack it again'
    ) from error


def open_archive(path: pathlib.Path) -> BinaryIO:
  """Returns the uncompressed bytes of an archive, as a file."""
  ending = next(e for e in _OPENERS if path.name.endswith(e))
  return _OPENERS[ending](path, 'rb')


def read_slice(archive: BinaryIO, offset: int, size: int) -> bytes:
  """Returns `size` bytes of an opened archive from `offset` on."""
  try:
    archive.seek(offset)
    data = archive.read(size)
  except _TORN as error:
    raise images.BrokenImage(f'the archive is torn: {error}') from error
  if len(data) < size:
    raise images.BrokenImage('cut off: the archive ends here')
  return data
