"""RAF-DB: reads the basic expressions of list_patition_label.txt."""

import pathlib
import re

from abaw_jax.core import errors, labels, text_files
from abaw_jax.data_builders import values
from abaw_jax.data_builders.labelled import listings
from abaw_jax.data_builders.labelled import rows as rows_lib

# The release has this spelling.
LIST = 'EmoLabel/list_patition_label.txt'
IMAGES = 'Image/aligned'
_NAME = re.compile(r'(train|test)_[0-9]+\.jpg')
_CODES = labels.NATIVE_EXPRESSIONS['raf_db']


def read(source: pathlib.Path) -> listings.Listing:
  """Returns the rows; the name of an image gives its split."""
  folder = source / 'basic' if (source / 'basic').is_dir() else source
  path = folder / LIST
  try:
    with text_files.open_text(path) as file:
      text = file.read()
  except OSError as error:
    raise errors.InputError(
        f'{path}: cannot be read ({error.strerror}); set --source_dir to the'
        f' folder that holds basic/{LIST}'
    ) from error
  where = path.relative_to(source).as_posix()
  listing = listings.Listing()
  for split in ('train', 'test'):
    listing.open_split(split)
  for row, line in enumerate(text.rstrip().split('\n')):
    try:
      listing.add(*_row(line, folder, row, where))
    except ValueError as error:
      listing.fault(where, row + 1, error)
  return listing


def _row(
    text: str, folder: pathlib.Path, row: int, file: str
) -> tuple[str, rows_lib.Row]:
  """Returns (split, row) of a line; raises ValueError with the reason."""
  cells = text.split()
  if len(cells) != 2:
    hint = text_files.wrong_separator(text, 2)
    raise ValueError(f'{len(cells)} values instead of 2{hint}')
  name = cells[0]
  match = _NAME.fullmatch(name)
  if not match:
    raise ValueError(f'image {name!r} is not train_<n>.jpg or test_<n>.jpg')
  label = values.integer('label', cells[1])
  if label not in _CODES:
    raise ValueError(
        f'label {label} is out of range: 1..7 (a list of compound expressions?)'
    )
  face = rows_lib.Row(
      name=name,
      image=folder / IMAGES / name.replace('.jpg', '_aligned.jpg'),
      row=row,
      file=file,
      line=row + 1,
      label=label,
      expression=labels.expression_id('raf_db', label),
  )
  return match[1], face
