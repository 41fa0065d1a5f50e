"""Inputs of the page: runs, prediction files, and tables of predicted clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import dataclasses
import json
import pathlib
from typing import Any
import zipfile

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from abaw_jax.core import errors
from abaw_jax.scoring import prediction_files, predictions
from abaw_jax.telemetry import writer

_SCHEMA = '.schema.json'
_CLIP_COLUMNS = {'timestamp', 'face_id'}
_EXPECTED = (
    'a workdir of a run, predictions (.npz, .parquet, .csv), a table of a '
    'predicted clip or a folder of such tables'
)


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
  """Predictions of a split.

  Attributes:
    name: unique on the page.
    rows: predictions and labels.
    split: of the dataset, from the name of the file.
    config: of their run; None if it is not known.
  """

  name: str
  rows: predictions.Predictions
  split: str
  config: dict[str, Any] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
  """A workdir: its config and the lines of metrics.jsonl."""

  name: str
  workdir: pathlib.Path
  config: dict[str, Any]
  lines: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
  """The table of a clip.

  Attributes:
    name: unique on the page.
    table: columns by name; numbers are floats, NaN where a cell is empty.
    schema: content of the schema file; {} without one.
    files: start of the paths of its files, as in `DIR/<stem>`.
  """

  name: str
  table: dict[str, np.ndarray]
  schema: dict[str, Any]
  files: pathlib.Path

  def path(self, suffix: str) -> pathlib.Path:
    """Returns a file of the clip."""
    return self.files.with_name(self.files.name + suffix)


@dataclasses.dataclass
class Inputs:
  """Everything that the page shows; `notes` are lines for its reader."""

  runs: list[Run] = dataclasses.field(default_factory=list)
  predictions: list[Prediction] = dataclasses.field(default_factory=list)
  clips: list[Clip] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)


def read(paths: Sequence[pathlib.Path]) -> Inputs:
  """Returns the content of all paths.

  Raises:
    InputError: a path is none of the inputs, or cannot be read.
  """
  found = Inputs()
  for path, name in zip(paths, _names(paths), strict=True):
    if (path / 'config.json').is_file() and path.is_dir():
      _read_run(found, path, name)
    elif path.is_dir():
      schemas = sorted(path.glob('*' + _SCHEMA))
      if not schemas:
        raise errors.InputError(
            f'{path}: has no config.json of a run and no *{_SCHEMA} of a clip; '
            f'give {_EXPECTED}'
        )
      for schema in schemas:
        stem = schema.name.removesuffix(_SCHEMA)
        found.clips.append(_read_clip(path / stem, _unique(found, stem, name)))
    elif not path.is_file():
      raise errors.InputError(
          f'{path}: there is no such path; give {_EXPECTED}'
      )
    elif _is_clip(path):
      found.clips.append(_read_clip(path.with_suffix(''), name))
    else:
      rows, split = prediction_files.read(path), path.stem.partition('_')[0]
      workdir = path.absolute().parent.parent
      is_of_run = (workdir / 'config.json').is_file()
      config = _read_config(workdir) if is_of_run else None
      found.predictions.append(Prediction(name, rows, split, config))
  return found


def _read_config(workdir: pathlib.Path) -> dict[str, Any]:
  path = workdir / 'config.json'
  try:
    config = json.loads(path.read_text())
    config['data']['name'], config['data']['dir'], config['model']
  except (ValueError, KeyError, TypeError) as e:
    raise errors.InputError(
        f'{path}: is no config of a run ({e!r}); restore it'
    ) from e
  return config


def _read_run(found: Inputs, workdir: pathlib.Path, name: str) -> None:
  """Adds a run and the predictions of `evaluate` and `predict_split` in it."""
  config = _read_config(workdir)
  lines = writer.read_lines(workdir / 'metrics.jsonl')
  found.runs.append(Run(name, workdir, config, lines))
  files = sorted((workdir / 'predictions').glob('*.npz'))
  if not files:
    found.notes.append(
        f'{name} has no predictions; abaw-jax evaluate --workdir={workdir} '
        'writes them.'
    )
  for file in files:
    if not _predicts_expressions(file):
      found.notes.append(f'{name}: {file.name} has no predicted expressions.')
      continue
    try:
      rows = prediction_files.read(file)
    except errors.InputError as e:
      # Single images without videos, for example: all else can be shown.
      found.notes.append(f'{name}: {file.name} is not shown: {e}')
      continue
    label = f'{name} {file.stem}' if files[1:] else name
    split = file.stem.partition('_')[0]
    found.predictions.append(Prediction(label, rows, split, config))


def _predicts_expressions(path: pathlib.Path) -> bool:
  try:
    with zipfile.ZipFile(path) as file:
      return 'pred_expression.npy' in file.namelist()
  except (OSError, zipfile.BadZipFile) as e:
    raise errors.InputError(
        f'{path}: it is not an .npz file: {e}; write it again'
    ) from e


def _is_clip(path: pathlib.Path) -> bool:
  """Returns whether a file is the table of a clip."""
  if path.suffix not in ('.parquet', '.csv'):
    return False
  if path.with_name(path.stem + _SCHEMA).is_file():
    return True
  try:
    if path.suffix == '.parquet':
      columns = parquet.read_schema(path).names
    else:
      columns = csv.open_csv(path).schema.names
  except (OSError, pa.ArrowException) as e:
    raise errors.InputError(f'{path}: it cannot be read: {e}') from e
  return set(columns) >= _CLIP_COLUMNS


def _read_clip(files: pathlib.Path, name: str) -> Clip:
  schema_path = files.with_name(files.name + _SCHEMA)
  path = files.with_name(files.name + '.parquet')
  path = path if path.is_file() else path.with_suffix('.csv')
  try:
    if schema_path.is_file():
      schema = json.loads(schema_path.read_text())
    else:
      schema = {}
    if path.suffix == '.parquet':
      table = parquet.read_table(path)
    else:
      table = csv.read_csv(path)
  except (OSError, ValueError, pa.ArrowException) as e:
    raise errors.InputError(
        f'{path}: it cannot be read: {" ".join(str(e).split())}; predict the '
        'clip again'
    ) from e
  columns = {}
  for column in table.column_names:
    values = table[column].combine_chunks()
    if not pa.types.is_string(values.type):
      columns[column] = (
          values.cast(pa.float64()).to_numpy(zero_copy_only=False)
          if not pa.types.is_null(values.type)
          else np.full(len(values), np.nan)
      )
  if not columns.keys() >= _CLIP_COLUMNS or not len(table):
    raise errors.InputError(
        f'{path}: has no rows with {" and ".join(sorted(_CLIP_COLUMNS))}; give a '
        'table of abaw-jax predict'
    )
  return Clip(name, columns, schema, files)


def _names(paths: Sequence[pathlib.Path]) -> list[str]:
  """Returns the shortest ends of the paths that differ from each other."""
  parts = [path.absolute().parts for path in paths]
  for length in range(1, max(map(len, parts)) + 1):
    names = ['/'.join(part[-length:]) for part in parts]
    if len(set(names)) == len(names):
      return names
  raise errors.InputError(
      f'{paths[-1]}: one path is given twice; give each path once'
  )


def _unique(found: Inputs, name: str, folder: str) -> str:
  known: Iterable[str] = (clip.name for clip in found.clips)
  return f'{folder}/{name}' if name in known else name
