"""The rows of the lists of a source, before any image is read."""

import collections
from collections.abc import Callable
import dataclasses
import pathlib
from typing import NamedTuple

from abaw_jax.data_builders import problems as problems_lib
from abaw_jax.data_builders.labelled import rows as rows_lib

NO_LABEL = 'they have no label that is used here'


@dataclasses.dataclass
class Listing:
  """The lines of all lists; the reader of a layout fills it.

  Attributes:
    rows: split of the source -> usable rows in the order of the list.
    left_out: split -> reason -> number of correct lines that are not used.
    problems: bad lines.
    notes: lines for the user that are not problems.
  """

  rows: dict[str, list[rows_lib.Row]] = dataclasses.field(default_factory=dict)
  left_out: dict[str, collections.Counter] = dataclasses.field(
      default_factory=dict
  )
  problems: list[problems_lib.Problem] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)

  def open_split(self, split: str) -> None:
    """Adds an empty split, so that splits keep the order of the source."""
    self.rows.setdefault(split, [])
    self.left_out.setdefault(split, collections.Counter())

  def add(self, split: str, row: rows_lib.Row) -> None:
    """Adds a row to a split, or counts it as left out if it has no label."""
    self.open_split(split)
    if row.labelled:
      self.rows[split].append(row)
    else:
      self.leave_out(split, NO_LABEL)

  def leave_out(self, split: str, reason: str) -> None:
    """Counts a correct line that is not used."""
    self.open_split(split)
    self.left_out[split][reason] += 1

  def fault(self, file: str, line: int | None, error: Exception) -> None:
    """Adds a line that cannot be used."""
    self.problems.append(problems_lib.Problem(file, line, str(error)))


class Layout(NamedTuple):
  """The layout of a source folder.

  Attributes:
    description: one line.
    read: source folder -> its lists. Raises InputError if a list is missing.
    splits: split of the dataset -> split of the source that it comes from. If
      train and validation come from the same split, a part is held out.
    validation_share: fraction that is held out; None if nothing is held out.
  """

  description: str
  read: Callable[[pathlib.Path], Listing]
  splits: dict[str, str]
  validation_share: float | None = None
