"""EmotioNet: action units in CSV lists, and the images that were downloaded."""

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
_AU = re.compile(r'au\s*(\d+)')


def read(source: pathlib.Path) -> listings.Listing:
  """Returns the rows of all lists, by name of the list; they are one split.

  The URL comes first in a row; its last part is the name of the image, which
  may lie anywhere below `source`.

  Raises:
    InputError: there is no list, or one has no action unit of ours.
  """
  files = {
      name.rpartition('/')[2]: source / name for name in trees.walk(source)
  }
  lists = sorted(source.glob('*.csv'))
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
          f'{path}:1: no column of an action unit in use, such as AU 1; move'
          ' the file away if it is no list of labels'
      )
    for line, cells in lines:
      try:
        named = tables.named(columns, cells)
        name = rows_lib.inside(named['url'].rpartition('/')[2])
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
  """Returns the 12 action units of a row; -1 where unknown or not listed."""
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
