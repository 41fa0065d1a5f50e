"""Files of predictions: .npz, .parquet and .csv."""

import dataclasses
import json
import zipfile

import numpy as np

from abaw_jax.core import errors, files, storage_errors
from abaw_jax.scoring import predictions, tables

# The fingerprints of the predicted datasets, as JSON.
_DATA = 'data'
_ARRAYS = {schema.array for schema in predictions.SCHEMA.values()}


def read(path: files.Path) -> predictions.Predictions:
  """Returns the predictions of a file; its suffix names the format.

  Raises:
    InputError: there is no such file, or one of its values is wrong.
  """
  reader, _ = _format(path)
  if not path.is_file():
    raise errors.InputError(
        f'{path}: there is no such file; abaw-jax evaluate writes '
        '<workdir>/predictions/<split>.npz'
    )
  with files.local_copy(path) as copy:
    rows = reader(copy)
  predictions.check(rows, str(path))
  return rows


def write(path: files.Path, rows: predictions.Predictions) -> None:
  """Writes predictions; raises an InputError if the suffix is not in FORMATS."""
  _, writer = _format(path)
  with (
      storage_errors.writing(path.parent, path.name),
      files.replacing(path) as temporary,
  ):
    writer(temporary, rows)


def check_name(path: files.Path) -> None:
  """Raises an InputError if the suffix of a file is not one of FORMATS."""
  _format(path)


def _read_npz(path: files.Path) -> predictions.Predictions:
  try:
    with np.load(path) as file:
      arrays = {name: file[name] for name in file if name in _ARRAYS}
      data = json.loads(str(file[_DATA])) if _DATA in file else {}
  except (TypeError, ValueError, OSError, zipfile.BadZipFile) as e:
    raise errors.InputError(
        f'{path}: it is not an .npz file: {e}; write it again'
    ) from e
  try:
    rows = predictions.Predictions.from_rows(arrays)
    return dataclasses.replace(rows, data=data)
  except ValueError as e:
    raise errors.InputError(
        f'{path}: {e}; take the predictions of a multi-task model on a dataset '
        'of videos'
    ) from e


def _write_npz(path: files.Path, rows: predictions.Predictions) -> None:
  with path.open('wb') as file:  # given a path, NumPy adds .npz
    data = {_DATA: json.dumps(rows.data)} if rows.data else {}
    np.savez_compressed(file, **rows.to_rows(), **data)


# The reader and the writer of each suffix.
FORMATS = {
    '.npz': (_read_npz, _write_npz),
    '.parquet': (tables.read_parquet, tables.write_parquet),
    '.csv': (tables.read_csv, tables.write_csv),
}


def _format(path: files.Path):
  if path.suffix not in FORMATS:
    raise errors.InputError(
        f'{path}: unknown file format {path.suffix!r}; choose from '
        f'{", ".join(FORMATS)}'
    )
  return FORMATS[path.suffix]
