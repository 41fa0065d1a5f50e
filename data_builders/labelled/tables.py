"""Reads CSV files with named columns."""

from collections.abc import Iterator, Sequence
import csv
import pathlib

from abaw_jax.core import errors, text_files


def read(
    path: pathlib.Path,
    required: Sequence[str],
    *,
    default: Sequence[str] = (),
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
  """Returns the column names of a file in lower case, and its (line, cells).

  Quotes and spaces around a name or a cell, UTF-16 and blank lines are accepted. `named` checks the number of cells of a line.

  Args:
    path: the file.
    required: columns that the file must have, in lower case.
    default: columns of a file without a header: its first line has no name of
      `required`.

  Raises:
    InputError: the file cannot be read, is empty or has no such column.
  """
  lines = _lines(path)
  first = next(lines, None)
  if first is None:
    raise errors.InputError(f'{path}:1: the list is empty; copy it again')
  columns = [cell.lower() for cell in first[1]]
  if default and not set(required) & set(columns):
    lines = _with_first(first, lines)
    columns = list(default)
  missing = [name for name in required if name not in columns]
  if missing:
    header = ','.join(columns)
    raise errors.InputError(
        f'{path}:{first[0]}: no column {", ".join(missing)}; the header is'
        f' {header[:200]!r}{_separated(header, required)}; use the list of the'
        ' release'
    )
  return columns, lines


def named(columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
  """Returns column -> cell of a line; raises ValueError if the counts differ."""
  if len(cells) != len(columns):
    hint = text_files.wrong_separator(','.join(cells), len(columns))
    raise ValueError(f'{len(cells)} values instead of {len(columns)}{hint}')
  return dict(zip(columns, cells, strict=True))


def _separated(header: str, required: Sequence[str]) -> str:
  """Returns a hint for a header with another separator, or ''."""
  for separator in ';\t|':
    names = [name.strip(' \'"') for name in header.split(separator)]
    if set(required) <= set(names):
      return text_files.wrong_separator(header, len(names))
  return ''


def _lines(path: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
  try:
    file = text_files.open_text(path, newline='')
  except OSError as error:
    raise errors.InputError(
        f'{path}: cannot be read ({error.strerror}); this layout requires it'
    ) from error
  with file:
    reader = csv.reader(file, skipinitialspace=True)
    try:
      for cells in reader:
        if cells:
          yield reader.line_num, [cell.strip(' \'"') for cell in cells]
    except csv.Error as error:
      raise errors.InputError(
          f'{path}:{reader.line_num}: {error}; copy the file again'
      ) from error


def _with_first(
    first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
  yield first
  yield from rest
