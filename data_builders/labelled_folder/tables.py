"""Reads a CSV or Parquet file with one row per image."""

from collections.abc import Iterator, Mapping, Sequence
import difflib
import pathlib
import re

import pyarrow as pa
from pyarrow import parquet

from abaw_jax.core import errors, labels
from abaw_jax.data_builders import values
from abaw_jax.data_builders.labelled import listings, tables
from abaw_jax.data_builders.labelled import rows as rows_lib
from abaw_jax.data_builders.labelled_folder import expressions, splits

SUFFIXES = ('.csv', '.parquet')
_TASKS = ('valence', 'arousal', 'expression')
_NAMED = ('image', *_TASKS, 'video', 'frame', 'split', 'person')
_AU = re.compile(r'au[ _]*0*([0-9]+)')
_MAX_FRAME = 10**9  # always fits into int32


def read(path: pathlib.Path, names: expressions.Names) -> listings.Listing:
  """Returns the rows of a table; bad rows become problems.

  Raises:
    InputError: the file cannot be read, or its columns are wrong.
  """
  columns, lines = (
      _parquet(path) if path.suffix == '.parquet' else tables.read(path, ())
  )
  units, unused = _columns(path, columns)
  listing = listings.Listing()
  if unused:
    listing.notes.append(f'columns not used: {", ".join(unused)}')
  seen, half = {}, 0
  for number, (line, cells) in enumerate(lines):
    try:
      named = tables.named(columns, cells)
      split = splits.name(named['split']) if 'split' in named else splits.ALL
      row = rows_lib.Row(
          name=rows_lib.relative_path(named['image']),
          image=path.parent / named['image'],
          row=number,
          file=path.name,
          line=line,
          expression=names.id(named.get('expression', '')),
          valence=_affect('valence', named),
          arousal=_affect('arousal', named),
          au=tuple(_unit(name, named, units) for name in labels.AU_NAMES),
          **_place(named),
      )
      _check_once(seen, row)
    except ValueError as error:
      listing.fault(path.name, line, error)
      continue
    half += (row.valence == labels.VA_MISSING) != (
        row.arousal == labels.VA_MISSING
    )
    listing.add(split, row)
  if half:
    listing.notes.append(
        f'{half:,} rows have only one of valence and arousal, which is not used:'
        ' models need both'
    )
  return listing


def _parquet(
    path: pathlib.Path,
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
  """Returns the columns of a Parquet file in lower case, and its (row, cells)."""
  try:
    table = parquet.read_table(path)
  except (pa.ArrowException, OSError) as error:
    reason = ' '.join(str(error).split())
    raise errors.InputError(
        f'{path}: cannot be read as Parquet ({reason}); write it again'
    ) from error
  columns = [name.strip().lower() for name in table.column_names]
  lines = (
      [_text(cell) for cell in cells]
      for batch in table.to_batches()
      for cells in zip(*(c.to_pylist() for c in batch.columns), strict=True)
  )
  return columns, enumerate(lines, start=1)


def _text(cell: object) -> str:
  """Returns a value of a Parquet file as the text of a CSV cell."""
  if cell is None:
    return ''
  return str(int(cell)) if isinstance(cell, bool) else str(cell).strip()


def _columns(
    path: pathlib.Path, columns: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
  """Returns action unit -> its column, and the columns that are not used.

  Raises:
    InputError: a column is missing, misspelt or twice in the table.
  """
  units, unused = {}, []
  for column in columns:
    match = _AU.fullmatch(column)
    name = f'AU{int(match[1]):02d}' if match else column
    if columns.count(column) > 1 or name in units:
      raise errors.InputError(
          f'{path}:1: column {column!r} is twice in the table; remove one'
      )
    if name in labels.AU_NAMES:
      units[name] = column
    elif column not in _NAMED:
      # Not `choices.suggestion`, which finds `frame` in a column `name`.
      for near in difflib.get_close_matches(column, _NAMED, 1, cutoff=0.8):
        raise errors.InputError(
            f'{path}:1: unknown column {column!r}; did you mean {near}?'
        )
      unused.append(column)
  if 'image' not in columns:
    raise errors.InputError(
        f'{path}:1: no column image; the header is {",".join(columns)[:200]!r};'
        ' add the path of each image, relative to this file, separated by commas'
    )
  if not units and not set(_TASKS) & set(columns):
    raise errors.InputError(
        f'{path}:1: no column of labels; add valence and arousal, expression, or'
        ' action units such as AU01'
    )
  if 'frame' in columns and 'video' not in columns:
    raise errors.InputError(
        f'{path}:1: column frame without column video; add the video of a frame'
    )
  return units, unused


def _affect(name: str, cells: Mapping[str, str]) -> float:
  text = cells.get(name, '')
  if not text:
    return labels.VA_MISSING
  return values.affect(name, text, missing=labels.VA_MISSING)


def _unit(name: str, cells: Mapping[str, str], units: Mapping[str, str]) -> int:
  """Returns an action unit of a row; -1 if its cell is empty."""
  text = cells[units[name]] if name in units else ''
  if not text:
    return labels.AU_MISSING
  value = values.integer(name, text)
  if value not in (0, 1, labels.AU_MISSING):
    raise ValueError(
        f'{name} {text} is out of range: 0 or 1; leave it empty if unknown'
    )
  return value


def _place(cells: Mapping[str, str]) -> dict[str, object]:
  """Returns the person, video and frame of a row."""
  place = {'person': cells.get('person', ''), 'video': cells.get('video', '')}
  if 'person' in cells and not place['person']:
    raise ValueError('person is empty; every row needs one, or no row has it')
  if not place['video'] or 'frame' not in cells:
    return place
  frame = values.integer('frame', cells['frame'])
  if not 0 <= frame < _MAX_FRAME:
    raise ValueError(f'frame {frame} is out of range: 0..{_MAX_FRAME - 1}')
  return {**place, 'frame': frame}


def _check_once(seen: dict, row: rows_lib.Row) -> None:
  """Raises ValueError if an earlier row has the same content or video frame."""
  content = row._replace(row=0, line=None)
  if content in seen:
    raise ValueError(
        f'image {row.name}: the same row as {row.file}:{seen[content]}; remove one'
    )
  seen[content] = row.line
  if row.frame is None:
    return
  place = (row.video, row.frame)
  if place in seen:
    raise ValueError(
        f'frame {row.frame} of video {row.video} is also in'
        f' {row.file}:{seen[place]}; give each face its own video name, such as'
        f' {row.video}_left'
    )
  seen[place] = row.line
