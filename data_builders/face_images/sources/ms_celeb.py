"""C-MS-Celeb: two lists of labels for the images of MS-Celeb-1M."""

import base64
import binascii
from collections.abc import Iterator
import pathlib
import sys
from typing import BinaryIO

from abaw_jax.core import errors
from abaw_jax.data_builders import images
from abaw_jax.data_builders.face_images.sources import entries, lists

LISTS = ('clean_list_128Vec_WT051_P010.txt', 'relabel_list_128Vec_T058.txt')
TABLE = 'FaceImageCroppedWithAlignment.tsv'
# MID, search rank, image URL, page URL, face id, rectangle, image.
_COLUMNS = 7


def c_ms_celeb(
    source: pathlib.Path, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  """Yields the listed images: rows of the table, then files, grouped by label.

  Rows have the order of the table, which is read once. Images without a row are
  expected as files <mid>/<rank>-FaceId-<k>.jpg in the source.

  Raises:
    InputError: a list or every image is missing, or a file has another layout.
  """
  table = source / TABLE
  if not table.exists() and not any(p.is_dir() for p in source.iterdir()):
    raise errors.InputError(
        f'{source}: no images; put {TABLE} or the folders <mid> there'
    )
  wanted = {}  # path -> (label, list, line)
  for name in LISTS:
    for number, text in lists.lines(source / name):
      label, _, path = text.strip().partition(' ')
      if not path:
        raise errors.InputError(
            f'{source / name}:{number}: {text!r} is not a label and a path; copy'
            ' the file again'
        )
      path = path.strip()
      if path in wanted:
        yield entries.Entry(
            path, ('broken', 'listed twice'), label, line=(name, number)
        )
      else:
        wanted[path] = (sys.intern(label), name, number)
  if table.exists():
    for path, offset, size in _rows(table):
      if path in wanted:
        label, name, number = wanted.pop(path)
        yield entries.Entry(
            path, ('row', TABLE, offset, size), label, line=(name, number)
        )
      else:
        ignored.add(f'{TABLE}!{path}')
  for path, (label, name, number) in wanted.items():
    yield entries.Entry(path, ('file',), label, line=(name, number))


def _rows(table: pathlib.Path) -> Iterator[tuple[str, int, int]]:
  """Yields (path of the unpacked image, offset, length) of each row."""
  offset = 0
  with table.open('rb') as file:
    for number, row in enumerate(file, 1):
      columns = row.split(b'\t')
      if len(columns) != _COLUMNS:
        raise errors.InputError(
            f'{table}:{number}: {len(columns)} columns instead of {_COLUMNS};'
            ' copy it again'
        )
      mid, rank, face = (columns[i].decode() for i in (0, 1, 4))
      yield f'{mid}/{rank}-{face}.jpg', offset, len(row)
      offset += len(row)


def read_row(table: BinaryIO, offset: int, size: int) -> bytes:
  """Returns the encoded image of a row of the table."""
  table.seek(offset)
  encoded = table.read(size).rstrip(b'\r\n').rpartition(b'\t')[2]
  try:
    return base64.b64decode(encoded, validate=True)
  except binascii.Error as error:
    raise images.BrokenImage(f'is not base64: {error}') from error
