"""Scores beside each other, with their intervals over videos."""

from collections.abc import Mapping, Sequence
import math

import numpy as np

from abaw_jax.postprocessing import tuning as tuning_lib
from abaw_jax.scoring import intervals

Scores = Mapping[str, intervals.Draws]


def table(rows: Mapping[str, Scores], *, whole: bool = True) -> list[str]:
  """Returns a line of column names and one for each row.

  The score and its parts, where `whole` with their 95% intervals.
  """
  width = max(map(len, rows))
  full = not any(np.isnan(row['P_MTL'].value) for row in rows.values())
  columns = ('P_MTL' if full else 'score', 'VA', 'EXPR', 'AU')
  space = 25 if whole else 9
  lines = [' ' * width + ''.join(f'{name:>{space}}' for name in columns)]
  for name, row in rows.items():
    cells = []
    for column in columns:
      cell = f'{row[column].value:8.4f}'
      if whole:
        low, high = row[column].interval()
        cell += f' [{low:.4f}, {high:.4f}]'
      cells.append(cell.rjust(space))
    lines.append(name.ljust(width) + ''.join(cells))
  return lines


def best(rows: Mapping[str, Scores]) -> str:
  """Returns the name of the row with the largest score."""
  return max(rows, key=lambda name: rows[name]['score'].value)


def signed(draws: intervals.Draws) -> str:
  """Returns a difference with its interval."""
  low, high = draws.interval()
  return f'{draws.value:+.4f} [{low:+.4f}, {high:+.4f}]'


def tuning(
    rows: Mapping[str, Scores],
    tuned: tuning_lib.Tuned,
    steps: Sequence[str],
    *,
    resamples: int = intervals.RESAMPLES,
) -> list[str]:
  """Returns what tuning is worth on the rows that it was done on.

  Args:
    rows: scores of these rows without it, by name.
    tuned: what was fitted to them.
    steps: what was tuned.
    resamples: those of `rows`.
  """
  crossed = intervals.bootstrap(tuned.cross_fitted, resamples=resamples)
  inside = tuned.in_sample.scores()['score']
  base = best(rows)
  gain = crossed['score'].minus(rows[base]['score'])
  optimism = inside - crossed['score'].value
  videos = len(np.unique(tuned.in_sample.video))
  return [
      f'tuned on {len(tuned.in_sample):,} rows of {videos:,} videos: '
      + ', '.join(steps),
      *table({**rows, f'tuned, {tuned.groups} groups cross-fitted': crossed}),
      f'gain over {base}: {signed(gain)}',
      f'fitted to all of these rows it scores {inside:.4f} on them: '
      f'{optimism:+.4f} of that is optimism and no result',
  ]


def as_json(scores: Scores) -> dict[str, dict[str, float | None]]:
  """Returns value and interval of every score; NaN becomes None."""
  result = {}
  for name, draws in scores.items():
    low, high = draws.interval()
    values = {'value': draws.value, 'low': low, 'high': high}
    result[name] = {k: None if math.isnan(v) else v for k, v in values.items()}
  return result
