"""What a source folder holds, beside what a complete copy does."""

from typing import NamedTuple

from abaw_jax.data_builders import problems as problems_lib


class Report(NamedTuple):
  """Counts by split and field, each with the published one where it is known.

  Attributes:
    counts: split -> field -> (found, published or None).
    notes: what a user should know though nothing is wrong.
    problems: what is wrong, in order.
  """

  counts: dict[str, dict[str, tuple[int, int | None]]]
  notes: list[str]
  problems: list[problems_lib.Problem]

  def show(self) -> int:
    """Prints a table per split; returns how many counts are not as published."""
    differences = 0
    for split, fields in self.counts.items():
      print(f'{split:<20}{"found":>10}{"published":>12}')
      for field, (found, published) in fields.items():
        differs = published is not None and found != published
        differences += differs
        expected = '' if published is None else f'{published:,}'
        mark = '  differs' if differs else ''
        print(f'  {field:<18}{found:>10,}{expected:>12}{mark}'.rstrip())
    return differences
