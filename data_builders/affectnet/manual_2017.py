"""AffectNet of 2017: lists with face box, expression, valence and arousal."""

from collections.abc import Mapping
import pathlib

from abaw_jax.core import errors, labels
from abaw_jax.data_builders import values
from abaw_jax.data_builders.labelled import listings, tables
from abaw_jax.data_builders.labelled import rows as rows_lib

LISTS = {'train': 'training.csv', 'validation': 'validation.csv'}
LIST_FOLDERS = ('.', 'Manually_Annotated_file_lists')
IMAGE_FOLDERS = (
    'Manually_Annotated_Images',
    'Manually_Annotated/Manually_Annotated_Images',
    'Manually_Annotated',
)
VA_MISSING = -2.0
NO_BOX = 'they have no face box'
# Columns of a list without a header; the validation list often has none.
COLUMNS = (
    'subdirectory_filepath',
    'face_x',
    'face_y',
    'face_width',
    'face_height',
    'facial_landmarks',
    'expression',
    'valence',
    'arousal',
)
_NEEDED = tuple(name for name in COLUMNS if name != 'facial_landmarks')


def read(source: pathlib.Path) -> listings.Listing:
  """Returns the rows with a label and a face box; an image may have several."""
  folder = _first(source, IMAGE_FOLDERS)
  listing = listings.Listing()
  for split, name in LISTS.items():
    file = _first(source, [f'{place}/{name}' for place in LIST_FOLDERS])
    where = file.relative_to(source).as_posix()
    listing.open_split(split)
    columns, lines = tables.read(file, _NEEDED, default=COLUMNS)
    for number, (line, cells) in enumerate(lines):
      try:
        row = _row(tables.named(columns, cells), folder, number, where, line)
      except ValueError as error:
        listing.fault(where, line, error)
        continue
      if row.labelled and row.box is None:
        listing.leave_out(split, NO_BOX)
      else:
        listing.add(split, row)
  return listing


def _first(source: pathlib.Path, names: list[str] | tuple[str, ...]):
  for name in names:
    if (source / name).exists():
      return source / name
  looked = ' and '.join(str(pathlib.PurePosixPath(name)) for name in names)
  raise errors.InputError(
      f'{source}: no {pathlib.PurePosixPath(names[0])}; looked there for'
      f' {looked}; set --source_dir to the folder that holds it'
  )


def _row(
    values_: Mapping[str, str],
    folder: pathlib.Path,
    row: int,
    file: str,
    line: int,
) -> rows_lib.Row:
  """Returns the row of one line; raises ValueError with the reason."""
  name = rows_lib.relative_path(values_['subdirectory_filepath'])
  label = code(values_['expression'])
  valence, arousal = (
      values.affect(key, values_[key], missing=VA_MISSING)
      for key in ('valence', 'arousal')
  )
  return rows_lib.Row(
      name=name,
      image=folder / name,
      row=row,
      file=file,
      line=line,
      label=label,
      expression=labels.expression_id('affectnet', label),
      valence=valence,
      arousal=arousal,
      box=_box(values_),
  )


def code(text: str) -> int:
  """Returns an expression code of AffectNet; raises ValueError if it is bad."""
  label = values.integer('expression', text)
  if label not in labels.NATIVE_EXPRESSIONS['affectnet']:
    raise ValueError(f'expression {text} is out of range: 0..10')
  return label


def _box(values_: Mapping[str, str]) -> rows_lib.Box | None:
  """Returns the face box; None if a side is -1 or NULL."""
  names = ('face_x', 'face_y', 'face_width', 'face_height')
  texts = [values_[name] for name in names]
  if any(text.upper() == 'NULL' for text in texts):
    return None
  box = tuple(
      values.number(name, text) for name, text in zip(names, texts, strict=True)
  )
  return box if min(box[2:]) > 0 else None
