"""Reads images inside tar archives, without unpacking them."""

import bz2
from collections.abc import Iterator
import gzip
import io
import lzma
import pathlib
import tarfile
import zlib

from abaw_jax.core import errors, files
from abaw_jax.data_builders import images
from abaw_jax.data_builders.face_images.sources import entries, trees

# Suffix of an archive -> function that opens it.
_OPENERS = {
    '.tar': open,
    '.tar.gz': gzip.open,
    '.tgz': gzip.open,
    '.tar.bz2': bz2.open,
    '.tar.xz': lzma.open,
}
_DAMAGE = (EOFError, OSError, lzma.LZMAError, tarfile.TarError, zlib.error)


class _LastRead:
  """A file that keeps the bytes of the last read."""

  def __init__(self, file: io.BufferedIOBase):
    self.last = b''
    self._file = file
    self.seek, self.tell = file.seek, file.tell

  def read(self, size: int) -> bytes:
    self.last = self._file.read(size)
    return self.last


def tar(
    source: pathlib.Path, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  """Yields the images of all archives, grouped by their folder in the archive.

  Raises:
    InputError: there is no archive, or an archive is damaged.
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
      for member in _joined(file):
        place = f' after {member.name}'
        name = f'{archive}!{member.name}'
        if member.isdir() or files.is_clutter(member.name):
          continue
        if not entries.is_image(member.name):
          ignored.add(name)
          continue
        at = ('slice', archive, member.offset_data, member.size)
        if not member.isfile() or member.issparse():
          at = ('broken', 'a link or a sparse file, not the image itself')
        yield entries.Entry(name, at, entries.folder(member.name))
  except _DAMAGE as error:
    raise errors.InputError(
        f'{source / archive}: damaged{place} ({error}); copy or pack it again'
    ) from error


def _joined(file: io.BufferedIOBase) -> Iterator[tarfile.TarInfo]:
  """Yields the members of all archives that are joined in a file."""
  start = b'x'
  while start:
    reader = _LastRead(file)
    with tarfile.open(fileobj=reader, mode='r:') as opened:
      while (member := opened.next()) is not None:
        opened.members.clear()  # tarfile would keep all of them in memory
        yield member
    # tarfile handles damage after the first member like the end of the archive.
    if reader.last != bytes(tarfile.BLOCKSIZE):
      raise tarfile.ReadError('no end-of-archive mark')
    # `peek`, because a compressed file goes back by reading from its start. Only
    # zeros follow the end mark, and no header starts with a zero.
    while (start := file.peek(1)[:1]) == b'\0':
      file.read(tarfile.BLOCKSIZE)


def open_archive(path: pathlib.Path) -> io.BufferedIOBase:
  """Opens an archive as a file of its uncompressed bytes."""
  ending = next(e for e in _OPENERS if path.name.endswith(e))
  return _OPENERS[ending](path, 'rb')


def read_slice(archive: io.BufferedIOBase, offset: int, size: int) -> bytes:
  """Returns `size` bytes of an opened archive, starting at `offset`."""
  try:
    archive.seek(offset)
    data = archive.read(size)
  except _DAMAGE as error:
    raise images.BrokenImage(f'the archive is damaged: {error}') from error
  if len(data) < size:
    raise images.BrokenImage('cut off: the archive ends here')
  return data
