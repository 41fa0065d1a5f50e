"""Reads RecordIO packs of InsightFace, without MXNet.

A record has one or more parts. A part has the magic number, a word, the data and
zeros up to a multiple of 4 bytes. The upper 3 bits of the word are the kind of
the part, the lower 29 bits the length of the data. If the data contain the magic
number, they are split there, and the reader puts it back between the parts. An
image record has the header (flag, label, id, id2), then `flag` more labels, then
the image.
"""

import array
from collections.abc import Iterator
import pathlib
import struct
from typing import BinaryIO

import numpy as np

from abaw_jax.core import errors, numbers
from abaw_jax.data_builders import images
from abaw_jax.data_builders.face_images.sources import entries, lists

PACK, INDEX = 'train.rec', 'train.idx'
_MAGIC = struct.pack('<I', 0xCED7230A)
_HEADER = struct.Struct('<IfQQ')
_SINGLE, _FIRST, _MIDDLE, _LAST = range(4)


def read_record(pack: BinaryIO, offset: int) -> bytes:
  """Returns the record at `offset`; raises BrokenImage if there is none."""
  pack.seek(offset)
  parts = []
  expected = (_SINGLE, _FIRST)
  while True:
    head = pack.read(8)
    if head[:4] != _MAGIC:
      raise images.BrokenImage(
          f'no magic number at byte {pack.tell() - len(head)} of the pack'
      )
    word = int.from_bytes(head[4:], 'little')
    part, size = word >> 29, word & (1 << 29) - 1
    data = pack.read(size)
    if len(head) < 8 or len(data) < size:
      raise images.BrokenImage('cut off: the pack ends inside the record')
    if part not in expected:
      raise images.BrokenImage('the parts of the record are out of order')
    parts.append(data)
    if part in (_SINGLE, _LAST):
      return _MAGIC.join(parts)
    pack.seek(-size % 4, 1)
    expected = (_MIDDLE, _LAST)


def unpack(record: bytes) -> tuple[tuple[float, ...], bytes]:
  """Returns the labels of a record and the bytes after them.

  If the flag is 0, the label is in the header; else `flag` labels follow it.
  """
  if len(record) < _HEADER.size:
    raise images.BrokenImage('the record is shorter than its header')
  flag, label, _, _ = _HEADER.unpack_from(record)
  if not flag:
    return (label,), record[_HEADER.size :]
  end = _HEADER.size + 4 * flag
  if len(record) < end:
    raise images.BrokenImage('the record is shorter than its labels')
  return struct.unpack_from(f'<{flag}f', record, _HEADER.size), record[end:]


def read_image(pack: BinaryIO, offset: int) -> bytes:
  """Returns the encoded image of the record at `offset`."""
  return unpack(read_record(pack, offset))[1]


def insightface(
    source: pathlib.Path, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  """Yields the images of train.rec in the order of their keys, by identity.

  In packs of InsightFace, record 0 has the labels (a, b). Records 1 to a - 1 are
  images, records a to b - 1 identities. The two labels of an identity are the
  first key of its images and the last key plus 1. Record 0 of other packs has
  one label or an image; then every record is an image.

  Raises:
    InputError: a file is missing, or record 0 or an identity is damaged.
  """
  keys, offsets = _read_index(source / INDEX)
  path = source / PACK
  if not path.is_file():
    raise errors.InputError(f'{path}: no such file; {INDEX} belongs to it')
  with path.open('rb') as pack:

    def labels(key: int) -> tuple[float, ...]:
      row = np.searchsorted(keys, key)
      if row == len(keys) or keys[row] != key:
        raise errors.InputError(
            f'{source / INDEX}: no key {key}, an identity of {PACK}; copy both'
            ' files again'
        )
      return _labels(pack, path, key, int(offsets[row]))

    top = labels(0) if keys[0] == 0 else ()
    if len(top) < 2 or unpack(read_record(pack, int(offsets[0])))[1]:
      for key, offset in zip(keys.tolist(), offsets.tolist(), strict=True):
        person = f'{_labels(pack, path, key, offset)[0]:g}'
        yield _entry(key, offset, person)
      return
    stop = int(top[0])
    people = np.full(stop, -1)
    for person in range(stop, int(top[1])):
      first, last = map(int, labels(person)[:2])
      people[first:last] = person
  for key in np.setdiff1d(np.arange(1, stop), keys).tolist():
    broken = ('broken', f'its key {key} is missing in {INDEX}')
    yield entries.Entry(f'{PACK}[{key}]', broken)
  for key, offset in zip(keys.tolist(), offsets.tolist(), strict=True):
    if 0 < key < stop:
      yield _entry(key, offset, str(people[key]) if people[key] >= 0 else '')
    elif key >= int(top[1]):
      ignored.add(f'{PACK}[{key}]')


def _entry(key: int, offset: int, person: str) -> entries.Entry:
  return entries.Entry(f'{PACK}[{key}]', ('record', PACK, offset), person)


def _labels(
    pack: BinaryIO, path: pathlib.Path, key: int, offset: int
) -> tuple[float, ...]:
  try:
    return unpack(read_record(pack, offset))[0]
  except images.BrokenImage as error:
    raise errors.InputError(
        f'{path}: record {key}: {error}; copy {PACK} and {INDEX} again'
    ) from error


def _read_index(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
  """Returns the keys of a pack in ascending order, and their offsets."""
  columns = array.array('q'), array.array('q')
  for number, text in lists.lines(path):
    try:
      key, offset = map(numbers.integer, text.split())
    except ValueError as error:
      raise errors.InputError(
          f'{path}:{number}: {text!r} is not a key and an offset; copy it again'
      ) from error
    columns[0].append(key)
    columns[1].append(offset)
  if not columns[0]:
    raise errors.InputError(f'{path}: empty; copy it again')
  keys, offsets = (np.frombuffer(column, np.int64) for column in columns)
  order = np.argsort(keys)
  return keys[order], offsets[order]
