"""Counts of a source folder, compared with those of a complete copy."""

from typing import NamedTuple

from abaw_jax.core import text_table
from abaw_jax.data_builders import problems as problems_lib


class Report(NamedTuple):
  """Counts by split and field.

  Attributes:
    counts: split -> field -> (found, published or None if unknown).
    notes: lines for the user that are not problems.
    problems: bad lines and images, in order.
  """

  counts: dict[str, dict[str, tuple[int, int | None]]]
  notes: list[str]
  problems: list[problems_lib.Problem]

  def show(self) -> int:
    """Prints a table per split; returns how many counts differ."""
    differences = 0
    for split, fields in self.counts.items():
      rows = [(split, 'found', 'published', '')]
      for field, (found, published) in fields.items():
        differs = published is not None and found != published
        differences += differs
        expected = '' if published is None else f'{published:,}'
        mark = 'differs' if differs else ''
        rows.append((f'  {field}', f'{found:,}', expected, mark))
      print('\n'.join(text_table.aligned(rows)))
    return differences
