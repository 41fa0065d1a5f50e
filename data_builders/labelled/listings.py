"""What the lists of a source say, before any image is looked at."""

import collections
from collections.abc import Callable
import dataclasses
import pathlib
from typing import NamedTuple

from abaw_jax.data_builders import problems as problems_lib
from abaw_jax.data_builders.labelled import rows as rows_lib

NO_LABEL = 'without a label that is used here'


@dataclasses.dataclass
class Listing:
  """Filled by the reader of a layout, split by split in the order of the lists.

  Attributes:
    rows: the usable rows by split of the source.
    left_out: by split, how many sound lines are not used, by reason.
    problems: faulty lines.
    notes: what a user should know though nothing is wrong.
  """

  rows: dict[str, list[rows_lib.Row]] = dataclasses.field(default_factory=dict)
  left_out: dict[str, collections.Counter] = dataclasses.field(
      default_factory=dict
  )
  problems: list[problems_lib.Problem] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)

  def open_split(self, split: str) -> None:
    """Makes a split appear in the order of the source, even if it is empty."""
    self.rows.setdefault(split, [])
    self.left_out.setdefault(split, collections.Counter())

  def add(self, split: str, row: rows_lib.Row) -> None:
    """Takes a row into a split, or counts it if it has no label."""
    self.open_split(split)
    if row.labelled:
      self.rows[split].append(row)
    else:
      self.leave_out(split, NO_LABEL)

  def leave_out(self, split: str, reason: str) -> None:
    """Counts a sound line that is not used."""
    self.open_split(split)
    self.left_out[split][reason] += 1

  def fault(self, file: str, line: int | None, error: Exception) -> None:
    """Notes a line that cannot be used."""
    self.problems.append(problems_lib.Problem(file, line, str(error)))


class Layout(NamedTuple):
  """How a source is laid out.

  Attributes:
    description: one line.
    read: source -> its lists. Raises InputError if a list is missing.
    splits: split of the dataset -> split of the source it is taken from.
      Where two are taken from one, the validation split is a part of it.
    validation_share: that part; None where there is none to hold out.
  """

  description: str
  read: Callable[[pathlib.Path], Listing]
  splits: dict[str, str]
  validation_share: float | None = None
