"""Tables of scores with their confidence intervals."""

from collections.abc import Mapping, Sequence
import math

import numpy as np

from abaw_jax.core import text_table
from abaw_jax.postprocessing import tuning
from abaw_jax.scoring import intervals, predictions

Scores = Mapping[str, intervals.Draws]
PARTS = ('VA', 'EXPR', 'AU')


def bootstrap(
    rows: Mapping[str, predictions.Predictions], resamples: int
) -> dict[str, Scores]:
  """Returns the scores of several predictions of the same rows, by name."""
  return {
      name: intervals.bootstrap(one, resamples=resamples)
      for name, one in rows.items()
  }


def table(
    scores: Mapping[str, Scores], *, with_intervals: bool = True
) -> list[str]:
  """Returns a table of the total scores and their parts, by name."""
  complete = not any(np.isnan(row['P_MTL'].value) for row in scores.values())
  columns = ('P_MTL' if complete else 'score', *PARTS)
  show = interval if with_intervals else lambda draws: number(draws.value)
  cells = [(k, *(show(row[c]) for c in columns)) for k, row in scores.items()]
  return text_table.aligned([('', *columns), *cells])


def interval(draws: intervals.Draws, sign: str = '') -> str:
  """Returns a score with its 95% interval; `sign='+'` shows all signs.

  Labels of a single recording give no interval, which the text says.
  """
  value, (low, high) = number(draws.value, sign), draws.interval()
  if math.isnan(draws.value):
    return value
  if math.isnan(low):
    return f'{value} (1 recording, no interval)'
  return f'{value} [{low:{sign}.4f}, {high:{sign}.4f}]'


def number(score: float, sign: str = '') -> str:
  """Returns a score as text; NaN is a score without labels."""
  return 'no labels' if math.isnan(score) else f'{score:{sign}.4f}'


def gain(
    scores: Scores, others: Mapping[str, Scores], *, with_interval: bool = True
) -> str:
  """Returns the line with the gain over the best of some other scores."""
  best = max(others, key=lambda name: others[name]['score'].value)
  difference = scores['score'].minus(others[best]['score'])
  text = interval(difference, '+')
  if not with_interval:
    text = number(difference.value, '+')
  return f'gain over {best}: {text}'


def tuning_report(
    scores: Mapping[str, Scores],
    tuned: tuning.Tuned,
    steps: Sequence[str],
    *,
    resamples: int = intervals.RESAMPLES,
) -> list[str]:
  """Returns the gain over `scores` and the optimism of tuning, on its own rows."""
  crossed = intervals.bootstrap(tuned.cross_fitted, resamples=resamples)
  in_sample = tuned.in_sample.scores()['score']
  optimism = in_sample - crossed['score'].value
  videos = len(np.unique(tuned.in_sample.video))
  name = f'tuned, {tuned.groups} groups cross-fitted'
  return [
      f'tuned on {len(tuned.in_sample):,} rows of {videos:,} videos: '
      + ', '.join(steps),
      *table({**scores, name: crossed}),
      gain(crossed, scores),
      *_tau_line(tuned.taus),
      f'fitted to all of these rows, the score on them is {in_sample:.4f}; '
      f'{optimism:+.4f} of it is optimism, do not report it',
      *_not_cross_fitted(tuned),
  ]


def _tau_line(taus: Sequence[float]) -> list[str]:
  """Returns the line with the strength of the logit adjustment, if it is tuned."""
  if len(taus) < 2:
    return []
  fitted, *groups = taus
  return [
      f'expressions: logit adjustment with tau {fitted:.2f}; {min(groups):.2f} to '
      f'{max(groups):.2f} when fitted without one of the groups'
  ]


def _not_cross_fitted(tuned: tuning.Tuned) -> list[str]:
  """Returns a line for each part whose labels are all in one group."""
  rows = tuned.cross_fitted
  group = tuning.assign_groups(rows.video, tuned.groups)
  return [
      f'{task.upper()}: all labels are in one group, so no other group tunes it; its '
      'cross-fitted score is without tuning'
      for task, mask in rows.labelled_rows.items()
      if len(np.unique(group[mask])) == 1
  ]


def as_json(scores: Scores) -> dict[str, dict[str, float | None]]:
  """Returns value and interval of every score; NaN becomes None."""
  result = {}
  for name, draws in scores.items():
    low, high = draws.interval()
    values = {'value': draws.value, 'low': low, 'high': high}
    result[name] = {k: None if math.isnan(v) else v for k, v in values.items()}
  return result
