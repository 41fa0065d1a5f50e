"""The files of a clip: its table as CSV and Parquet, schema, and summary."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import re
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

import abaw_jax
from abaw_jax.core import errors, files, storage_errors
from abaw_jax.tables import columns, rows, summary

# Frames of a part of the table, and rows of a group in a Parquet file.
_FRAMES = 128
_GROUP_ROWS = 1 << 14
_TEMPORARY = re.compile(r'.*\.[0-9a-f]{8}\.tmp')
# Of a schema file.
_PARTS = {'clip', 'model', 'options', 'files'}
_PACKAGES = ('numpy', 'opencv-python-headless', 'av', 'jax')


@dataclasses.dataclass(frozen=True)
class ClipFiles:
  """Paths of the files of a clip.

  Attributes:
    folder: of all clips.
    name: of the clip.
  """

  folder: files.Path
  name: str

  def path(self, suffix: str) -> files.Path:
    """Returns a file; `schema.json` is written last."""
    return self.folder / f'{self.name}.{suffix}'

  def finished(self) -> dict[str, Any] | None:
    """Returns the schema of a finished table, None if there is none."""
    schema = self._read_schema()
    if not schema or not schema['files']:
      return None
    complete = all(self.path(suffix).exists() for suffix in schema['files'])
    return schema if complete else None

  def check(self, schema: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the schema of a finished table that is equal to a wanted one.

    Args:
      schema: of `make_schema`, for the table that is wanted.

    Returns:
      None if the table is to be written.

    Raises:
      InputError: there is a table of another model, clip or option.
    """
    before = self._read_schema()
    if before is not None:
      if change := difference(before, schema):
        raise errors.InputError(
            f'{self.path("schema.json")}: of a table with {change}; give '
            '--overwrite or another --out'
        )
      is_enough = set(schema['files']) <= set(before['files'])
      return self.finished() if is_enough else None
    for suffix in schema['files']:
      if self.path(suffix).exists():
        raise errors.InputError(
            f'{self.path(suffix)}: is there without a schema file, so it is of '
            'another program; give another --out, or --overwrite to replace it'
        )
    return None

  def _read_schema(self) -> dict[str, Any] | None:
    path = self.path('schema.json')
    try:
      schema = json.loads(path.read_text())
      return schema if schema.keys() >= _PARTS else None
    except (AttributeError, FileNotFoundError, ValueError):
      return None

  def read_summary(self) -> dict[str, Any]:
    """Returns the summary of a finished table."""
    return json.loads(self.path('summary.json').read_text())


class TableWriter:
  """Writes the table of a clip while its rows arrive.

  Nothing has its final name before `finish`. Use it as a context manager: without
  `finish`, it leaves nothing.
  """

  def __init__(
      self,
      clip_files: ClipFiles,
      layout: rows.Layout,
      table_columns: Sequence[columns.Column],
      *,
      others: Sequence[str] = (),
  ):
    """Makes temporary files.

    Args:
      clip_files: paths of the files.
      layout: of the predictions.
      table_columns: of the table.
      others: suffixes of files that the caller writes, see `temporary`.
    """
    self._summary = summary.Summary(layout)
    self._files = clip_files
    self._layout = layout
    self._columns = table_columns
    self._schema = columns.arrow_schema(table_columns)
    self._frames: list[rows.FrameRows] = []
    self._batches: list[pa.RecordBatch] = []
    self._stack = contextlib.ExitStack()
    self._temporary = {
        suffix: self._stack.enter_context(
            files.replacing(clip_files.path(suffix))
        )
        for suffix in ('csv', 'parquet', *others)
    }
    self._csv = arrow_csv.CSVWriter(
        self._temporary['csv'],
        self._schema,
        write_options=arrow_csv.WriteOptions(quoting_style='needed'),
    )
    self._parquet = parquet.ParquetWriter(
        self._temporary['parquet'], self._schema
    )

  def __enter__(self) -> TableWriter:
    return self

  def __exit__(self, *_: object) -> None:
    """Removes the temporary files if the table is not finished."""
    with contextlib.suppress(errors.InputError, OSError, pa.ArrowException):
      self._close()
    for path in self._temporary.values():
      path.unlink(missing_ok=True)
    self._stack.close()

  def temporary(self, suffix: str) -> pathlib.Path:
    """Returns where to write one of the other files before `finish`."""
    return self._temporary[suffix]

  def write(self, frames: Sequence[rows.FrameRows]) -> None:
    """Adds frames with their faces."""
    self._summary.add(frames)
    self._frames += frames
    if len(self._frames) >= _FRAMES:
      self._write_part()

  def finish(self, schema: dict[str, Any]) -> dict[str, Any]:
    """Gives the files their names; the schema file is last.

    Args:
      schema: of `make_schema`.

    Returns:
      The summary of the clip.

    Raises:
      InputError: a file cannot be written.
    """
    self._write_part()
    self._write_group()
    self._close()
    # A kill from here to the end leaves a table that is known to be ours.
    files.write_json(self._files.path('schema.json'), schema | {'files': []})
    self._stack.close()
    found = self._summary.to_json(self._files.name)
    files.write_json(self._files.path('summary.json'), found)
    schema = schema | {'columns': [x.to_json() for x in self._columns]}
    files.write_json(self._files.path('schema.json'), schema)
    return found

  def _write_part(self) -> None:
    if not self._frames:
      return
    batch = columns.make_batch(self._frames, self._layout, self._schema)
    self._frames = []
    with storage_errors.writing(self._files.folder, self._files.name):
      self._csv.write_batch(batch)
    self._batches.append(batch)
    if sum(len(x) for x in self._batches) >= _GROUP_ROWS:
      self._write_group()

  def _write_group(self) -> None:
    if self._batches:
      table = pa.Table.from_batches(self._batches)
      with storage_errors.writing(self._files.folder, self._files.name):
        self._parquet.write_table(table, row_group_size=len(table))
    self._batches = []

  def _close(self) -> None:
    with storage_errors.writing(self._files.folder, self._files.name):
      self._csv.close()
      self._parquet.close()


def make_schema(
    *, clip: dict[str, Any], model: dict[str, Any], options: dict[str, Any],
    suffixes: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
  """Returns the content of a schema file, without the columns.

  Args:
    clip: source, checksum and warnings of the clip.
    model: name, version and checksums of the model.
    options: that change the table.
    suffixes: of all files of the clip but the schema file.
  """
  versions = {'abaw_jax': abaw_jax.__version__}
  versions |= {'python': platform.python_version()}
  for name in _PACKAGES:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      versions[name] = importlib.metadata.version(name)
  return {
      'clip': clip,
      'model': model,
      'options': options,
      'versions': versions,
      'files': list(suffixes),
  }


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
  """Returns the first thing in which a finished table differs; '' = nothing.

  Compares the model, the options and the checksum of the clip.
  """
  if new['clip']['sha256'] is None:
    return 'a camera at another time'
  if old['clip']['sha256'] != new['clip']['sha256']:
    return 'another content of the clip'
  for part in ('model', 'options'):
    before, now = json.loads(json.dumps([old[part], new[part]]))
    for key in sorted({*before, *now}):
      if before.get(key) != now.get(key):
        return f'{part} {key}: {before.get(key)}, now {now.get(key)}'
  return ''


def remove_temporary(folder: files.Path) -> None:
  """Removes the temporary files of a killed command; no other one may run."""
  if files.is_bucket(folder) or not folder.is_dir():
    return
  for path in folder.iterdir():
    if _TEMPORARY.fullmatch(path.name):
      path.unlink(missing_ok=True)


def checksum(source: str | pathlib.Path) -> str | None:
  """Returns the SHA-256 of a file, or of all files of a folder; None = a camera."""
  path = pathlib.Path(source)
  if not path.exists():
    return None
  if not path.is_dir():
    return _digest(path).hexdigest()
  total = hashlib.sha256()
  for file in sorted(path.rglob('*')):
    if file.is_file():
      total.update(f'{file.relative_to(path)}\0'.encode(errors='replace'))
      total.update(_digest(file).digest())
  return total.hexdigest()


def _digest(path: pathlib.Path) -> Any:
  with path.open('rb') as content:
    return hashlib.file_digest(content, 'sha256')
