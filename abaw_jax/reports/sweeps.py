"""The report of the command `sweep`: one row for each setting, the best one first."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from abaw_jax.core import text_table
from abaw_jax.reports import comparison, crossvalidation

Scores = Mapping[str, float | None]
_SHOWN = ('P_MTL', *comparison.PARTS)


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
  """The ranking of a sweep; the report as text and as JSON."""

  best: str  # name of the best setting
  lines: list[str]
  content: dict[str, Any]


def rank(
    scores: Mapping[str, Sequence[Scores]], score: str, *, lowest: bool = False
) -> Result:
  """Returns the settings, sorted by the mean of a score over their runs.

  Args:
    scores: scores of the runs of each setting; a score without labels is None.
    score: key of the score that sorts.
    lowest: whether a lower score is better.
  """
  spreads = {
      name: crossvalidation.spread(
          [
              {
                  key: float('nan') if x is None else x
                  for key, x in one.items()
                  if key != 'step'
              }
              for one in found
          ]
      )
      for name, found in scores.items()
  }

  def order(name):
    mean = spreads[name][score]['mean']
    if mean is None:
      return float('inf')
    return mean if lowest else -mean

  ranked = sorted(spreads, key=order)
  first = next(iter(spreads.values()))
  shown = [key for key in _SHOWN if key in first] or [score]
  rows = [
      (name, *(_cell(spreads[name][key]) for key in shown)) for name in ranked
  ]
  count = len(next(iter(scores.values())))
  lines = text_table.aligned([('setting', *shown), *rows])
  lines.append(
      f'mean +- standard deviation over {count} runs of each setting'
      if count > 1
      else 'one run of each setting: more --seeds show how much a score varies'
  )
  if len(ranked) > 1:
    lines.append(
        f'the best of {len(ranked)} settings was chosen on the rows that score it, '
        'so its score is too high: score it again on rows that chose nothing'
    )
  return Result(
      best=ranked[0],
      lines=lines,
      content={
          'score': score,
          'settings': [
              {'setting': name, 'scores': spreads[name]} for name in ranked
          ],
      },
  )


def _cell(spread: Mapping[str, float | None]) -> str:
  if spread['mean'] is None:
    return comparison.number(float('nan'))
  std = '' if spread['std'] is None else f' +- {spread["std"]:.4f}'
  return f'{spread["mean"]:.4f}{std}'
