"""Finds out which layout a source has, and reads it."""

import os
import pathlib
from typing import NamedTuple

from abaw_jax.core import errors, files
from abaw_jax.data_builders import arguments
from abaw_jax.data_builders.labelled import listings
from abaw_jax.data_builders.labelled_folder import (
    class_folders,
    expressions,
    splits,
    tables,
    uni_task,
)


class Source(NamedTuple):
  """The rows of a source before any image is read, and how they are divided."""

  folder: pathlib.Path
  listing: listings.Listing
  layout: listings.Layout

  @property
  def has_videos(self) -> bool:
    """True if a row has the number of its frame in a video."""
    return any(
        row.frame is not None
        for rows in self.listing.rows.values()
        for row in rows
    )


def read(source_dir: str | os.PathLike[str], share: float | None) -> Source:
  """Returns the content of a folder, or of the folder of a table.

  Raises:
    InputError: the layout is not known, or nothing can be used.
  """
  path = pathlib.Path(source_dir).absolute()
  table = path if path.is_file() else None
  folder = arguments.source_folder(path.parent if table else path)
  listing = _listing(folder, table)
  splits.separate(listing)
  return Source(folder, listing, splits.layout(listing, share, path))


def _listing(
    folder: pathlib.Path, table: pathlib.Path | None
) -> listings.Listing:
  if table is None and uni_task.folders(folder):
    return uni_task.read(folder)
  names = expressions.load(folder)
  table = table or _only_table(folder)
  if table is None:
    return class_folders.read(folder, names)
  if table.suffix not in tables.SUFFIXES:
    raise errors.InputError(
        f'{table}: is no .csv or .parquet file; name a table or a folder'
    )
  return tables.read(table, names)


def _only_table(folder: pathlib.Path) -> pathlib.Path | None:
  """Returns the table of a folder, or None if it has none."""
  found = [
      path
      for path in sorted(folder.iterdir())
      if path.suffix in tables.SUFFIXES and not files.is_clutter(path.name)
  ]
  if len(found) > 1:
    raise errors.InputError(
        f'{found[0]} and {found[1].name} are both tables; name one of them:'
        f' --source_dir={found[0]}'
    )
  return found[0] if found else None
