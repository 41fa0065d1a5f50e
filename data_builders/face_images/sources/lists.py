"""Images named by text files: a list of paths, CelebA and EmotioNet."""

from collections.abc import Iterator
import pathlib
import re

from abaw_jax.core import errors, text_files
from abaw_jax.data_builders.face_images.sources import entries, trees
from abaw_jax.data_builders.labelled import tables

LIST = 'list.txt'
CELEBA_IMAGES = 'img_align_celeba'
CELEBA_PARTITIONS = ('list_eval_partition.txt', 'list_eval_partition.csv')
_CELEBA_SPLITS = {'0': 'train', '1': 'validation', '2': 'test'}
_EMOTIONET = re.compile(r'N_[0-9]{10}_[0-9]{5}\.jpg')


def lines(path: pathlib.Path) -> Iterator[tuple[int, str]]:
  """Yields (1-based number, text) of every line that is not blank.

  UTF-16, CRLF and names in any encoding are accepted.

  Raises:
    InputError: the file cannot be read.
  """
  try:
    file = text_files.open_text(path)
  except OSError as error:
    raise errors.InputError(
        f'{path}: cannot be read ({error.strerror}); this layout requires it'
    ) from error
  with file:
    for number, line in enumerate(file, 1):
      if text := line.rstrip('\r\n'):
        yield number, text


def listed(
    source: pathlib.Path, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  """Yields the images of list.txt, one path per line, grouped by folder."""
  del ignored  # files that are not in the list are not reported
  for number, name in lines(source / LIST):
    path = pathlib.PurePosixPath(name)
    at = ('file',)
    if path.is_absolute() or '..' in path.parts:
      at = ('broken', f'is not in {source.name}; use a path relative to it')
    yield entries.Entry(
        name, at, group=entries.folder(name), line=(LIST, number)
    )


def celeba(
    source: pathlib.Path, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  """Yields the aligned images of CelebA with the splits of its partition.

  The copy of Kaggle has a CSV file, and a folder in the folder of the images.
  """
  del ignored
  folder, nested = CELEBA_IMAGES, f'{CELEBA_IMAGES}/{CELEBA_IMAGES}'
  if (source / nested).is_dir():
    folder = nested
  found = [name for name in CELEBA_PARTITIONS if (source / name).is_file()]
  file = found[0] if found else ' or '.join(CELEBA_PARTITIONS)
  path = source / file
  for number, text in lines(path):
    columns = text.replace(',', ' ').split()
    if number == 1 and columns == ['image_id', 'partition']:
      continue
    if len(columns) != 2 or columns[1] not in _CELEBA_SPLITS:
      raise errors.InputError(
          f'{path}:{number}: {text!r} is not an image name and 0, 1 or 2'
          f'{text_files.wrong_separator(text, 2)}; copy the file again'
      )
    yield entries.Entry(
        f'{folder}/{columns[0]}',
        split=_CELEBA_SPLITS[columns[1]],
        line=(file, number),
    )


def emotionet(
    source: pathlib.Path, ignored: entries.Ignored
) -> Iterator[entries.Entry]:
  """Yields N_<10 digits>_<5 digits>.jpg in the CSV lists, or all without lists."""
  files = {}
  for name in trees.walk(source):
    base = name.rpartition('/')[2]
    if _EMOTIONET.fullmatch(base):
      files[base] = name
    elif not base.endswith('.csv'):
      ignored.add(name)
  found = trees.tables(source)
  if not found:
    for name in files.values():
      yield entries.Entry(name)
    return
  for table in found:
    for number, url in _urls(table):
      base = url.rpartition('/')[2]
      at = ('file',)
      if not _EMOTIONET.fullmatch(base):
        at = (
            'broken',
            f'the URL {url!r} does not end in N_<digits>_<digits>.jpg',
        )
      elif base not in files:
        at = ('broken', 'missing')
      yield entries.Entry(files.get(base, base), at, line=(table.name, number))


def _urls(table: pathlib.Path) -> Iterator[tuple[int, str]]:
  """Yields the line and the URL of every row of a list of EmotioNet."""
  columns, rows = tables.read(table, ('url',))
  column = columns.index('url')
  for number, cells in rows:
    if len(cells) <= column:
      raise errors.InputError(
          f'{table}:{number}: {len(cells)} columns, and the URL is in column'
          f' {column + 1}; copy the file again'
      )
    yield number, cells[column]
