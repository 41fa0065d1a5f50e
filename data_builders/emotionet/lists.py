"""EmotioNet: CSV lists of action units, and the downloaded images."""

from collections.abc import Mapping
import pathlib
import re

from abaw_jax.core import errors, labels
from abaw_jax.data_builders import values
from abaw_jax.data_builders.face_images.sources import trees
from abaw_jax.data_builders.labelled import listings, tables
from abaw_jax.data_builders.labelled import rows as rows_lib

SPLIT = 'all'
UNKNOWN = 999
_AU = re.compile(r'au\s*([0-9]+)')


def read(source: pathlib.Path) -> listings.Listing:
  """Returns the rows of all lists as one split, in the order of the list names.

  The last part of the URL is the name of the image file, which may be in any
  folder of `source`.

  Raises:
    InputError: there is no list, or a list has no action unit that we use.
  """
  files = {
      name.rpartition('/')[2]: source / name for name in trees.walk(source)
  }
  lists = trees.tables(source)
  if not lists:
    raise errors.InputError(
        f'{source}: no list; put the CSV files with URL and action units there'
    )
  listing = listings.Listing()
  listing.open_split(SPLIT)
  number = 0
  for path in lists:
    columns, lines = tables.read(path, ('url',))
    units = {
        int(match[1]): name
        for name in columns
        if (match := _AU.fullmatch(name))
    }
    if not set(units) & set(labels.AU_NUMBERS):
      raise errors.InputError(
          f'{path}:1: no column of a known action unit, such as AU 1; move the'
          ' file away if it is not a list of labels'
      )
    for line, cells in lines:
      try:
        named = tables.named(columns, cells)
        name = rows_lib.relative_path(named['url'].rpartition('/')[2])
        row = rows_lib.Row(
            name=name,
            image=files.get(name, source / name),
            row=number,
            file=path.name,
            line=line,
            au=_units(named, units),
        )
        listing.add(SPLIT, row)
      except ValueError as error:
        listing.fault(path.name, line, error)
      number += 1
  return listing


def _units(
    cells: Mapping[str, str], columns: Mapping[int, str]
) -> tuple[int, ...]:
  """Returns the 12 action units of a row; -1 if unknown or without a column."""
  found = []
  for unit, name in zip(labels.AU_NUMBERS, labels.AU_NAMES, strict=True):
    if unit not in columns:
      found.append(labels.AU_MISSING)
      continue
    value = values.integer(name, cells[columns[unit]])
    if value not in (0, 1, UNKNOWN):
      raise ValueError(
          f'{name} {value} is out of range: 0, 1, or {UNKNOWN} where unknown'
      )
    found.append(labels.AU_MISSING if value == UNKNOWN else value)
  return tuple(found)
