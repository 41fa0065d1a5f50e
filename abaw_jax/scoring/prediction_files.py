"""Files of predictions: .npz as evaluation writes it, .parquet and .csv."""

import pathlib
import zipfile

import numpy as np

from abaw_jax.core import errors, files, storage_errors
from abaw_jax.scoring import predictions, tables

# Array of the file -> field, kind of its type, and axis behind the rows.
_ARRAYS = {
    'video': ('video', 'U', ()),
    'frame_id': ('frame_id', 'i', ()),
    'row': ('row', 'i', ()),
    'pred_valence': ('valence', 'f', ()),
    'pred_arousal': ('arousal', 'f', ()),
    'pred_expression': ('expression', 'f', (8,)),
    'pred_au': ('au', 'f', (12,)),
    'valence': ('target_valence', 'f', ()),
    'arousal': ('target_arousal', 'f', ()),
    'expression': ('target_expression', 'i', ()),
    'au': ('target_au', 'i', (12,)),
    'va': ('va', 'b', ()),
    'expr': ('expr', 'b', ()),
    'au_mask': ('au_mask', 'b', (12,)),
}
# Kind -> its name, and the type that it is read as.
_KINDS = {
    'U': ('text', None),
    'f': ('float', np.float64),
    'i': ('int', np.int64),
    'b': ('bool', None),
}


def read(path: pathlib.Path) -> predictions.Predictions:
  """Returns the predictions of a file; its suffix says which kind it is.

  Raises:
    InputError: if there is no such file, or one of its values is wrong.
  """
  reader, _ = _format(path)
  if not path.is_file():
    raise errors.InputError(
        f'{path}: there is no such file; abaw_jax.evaluate writes '
        '<workdir>/predictions/<split>.npz'
    )
  rows = reader(path)
  predictions.check(rows, str(path))
  return rows


def write(path: pathlib.Path, rows: predictions.Predictions) -> None:
  """Writes predictions; the suffix says as what.

  Raises:
    InputError: if the suffix is none of FORMATS.
  """
  _, writer = _format(path)
  with (
      storage_errors.writing(path.parent, path.name),
      files.replacing(path) as temporary,
  ):
    writer(temporary, rows)


def _read_npz(path: pathlib.Path) -> predictions.Predictions:
  try:
    with np.load(path) as file:
      arrays = {name: file[name] for name in _ARRAYS if name in file}
  except (TypeError, ValueError, OSError, zipfile.BadZipFile) as e:
    raise errors.InputError(
        f'{path}: it is no .npz file: {e}; write it again'
    ) from e
  n = len(arrays['row']) if np.ndim(arrays.get('row')) else 0
  fields = {}
  for name, (field, kind, tail) in _ARRAYS.items():
    if name not in arrays:
      raise errors.InputError(
          f'{path}: it has no array {name}; take the predictions of a '
          'multi-task model on a dataset of videos'
      )
    array = arrays[name]
    kind_name, dtype = _KINDS[kind]
    if array.shape != (n, *tail) or array.dtype.kind != kind:
      raise errors.InputError(
          f'{path}: {name} is {array.dtype} {list(array.shape)}; expected '
          f'{kind_name} {[n, *tail]}'
      )
    fields[field] = array.astype(dtype or array.dtype)
  return predictions.Predictions(**fields)


def _write_npz(path: pathlib.Path, rows: predictions.Predictions) -> None:
  arrays = {name: getattr(rows, field) for name, (field, *_) in _ARRAYS.items()}
  with path.open('wb') as file:  # given a path, NumPy adds .npz
    np.savez_compressed(file, **arrays)


# What reads and what writes a file of each suffix.
FORMATS = {
    '.npz': (_read_npz, _write_npz),
    '.parquet': (tables.read_parquet, tables.write_parquet),
    '.csv': (tables.read_csv, tables.write_csv),
}


def _format(path: pathlib.Path):
  if path.suffix not in FORMATS:
    raise errors.InputError(
        f'{path}: unknown kind of file {path.suffix!r}; choose from '
        f'{", ".join(FORMATS)}'
    )
  return FORMATS[path.suffix]
