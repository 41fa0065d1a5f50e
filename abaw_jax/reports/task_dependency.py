"""Which tasks help which: what a task gains from being trained with another."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from jaxtyping import Float
import numpy as np

# The score of each task, a key of `metrics.multi_task_scores`.
SCORES = {
    'valence': 'CCC_valence',
    'arousal': 'CCC_arousal',
    'expression': 'EXPR',
    'au': 'AU',
}
TOGETHER = 'all'

Tasks = tuple[str, ...]
Scores = Mapping[str, float | int | None]


@dataclasses.dataclass(frozen=True, eq=False)
class Gains:
  """Gains of tasks over being trained alone, in points (hundredths of a score).

  Columns are tasks. Row i is with task i trained along, the last with all; NaN
  where a task would be its own company.

  Attributes:
    tasks: names of the columns, and of the rows but the last.
    alone: mean and standard deviation of the scores alone, in points.
    mean: of the gains over seeds.
    std: of the gains over seeds (n - 1); NaN with one seed.
  """

  tasks: Tasks
  alone: tuple[Float[np.ndarray, 'k'], Float[np.ndarray, 'k']]
  mean: Float[np.ndarray, 'r k']
  std: Float[np.ndarray, 'r k']

  @property
  def rows(self) -> Tasks:
    """Returns what stands in front of each row."""
    return (*(f'+ {task}' for task in self.tasks), TOGETHER)

  def table(self) -> list[str]:
    """Returns a table in Markdown: scores alone, then gains."""
    lines = [
        _line('trained with', *self.tasks),
        '|' + ' --- |' * (1 + len(self.tasks)),
    ]
    mean, std = self.alone
    lines.append(_line('alone', *map(_cell, mean, std)))
    for row, mean, std in zip(self.rows, self.mean, self.std, strict=True):
      cells = (
          'none' if np.isnan(a) else _cell(a, b, sign='+')
          for a, b in zip(mean, std, strict=True)
      )
      lines.append(_line(row, *cells))
    return lines

  def as_json(self) -> dict[str, Any]:
    """Returns the same for JSON, NaN as None."""

    def plain(values):
      return [None if np.isnan(x) else float(x) for x in values]

    mean, std = self.alone
    return {
        'tasks': list(self.tasks),
        'rows': list(self.rows),
        'alone': {'mean': plain(mean), 'std': plain(std)},
        'gain': {
            'mean': [plain(row) for row in self.mean],
            'std': [plain(row) for row in self.std],
        },
    }


def gains(scores: Sequence[Mapping[Tasks, Scores]], tasks: Tasks) -> Gains:
  """Returns the gains of every task in every company.

  Differences are within a seed, whose runs share data and order.

  Args:
    scores: of each seed: scores by the tasks that were trained. A score of None
      is that of a task without labels.
    tasks: all of them, in the order of the keys of `scores`.
  """
  points = {
      (subset, task): np.array(
          [_points(seed[subset], task) for seed in scores], np.float64
      )
      for subset in scores[0]
      for task in subset
  }
  alone = np.stack([points[(task,), task] for task in tasks])  # [k, seeds]
  found = np.full((len(tasks) + 1, len(tasks), len(scores)), np.nan)
  for j, task in enumerate(tasks):
    for i, other in enumerate(tasks):
      if i != j:
        pair = tuple(t for t in tasks if t in (task, other))
        found[i, j] = points[pair, task] - alone[j]
    if len(tasks) > 1:
      found[-1, j] = points[tasks, task] - alone[j]
  return Gains(
      tasks=tasks,
      alone=(alone.mean(axis=-1), _std(alone)),
      mean=found.mean(axis=-1),
      std=_std(found),
  )


def _points(scores: Scores, task: str) -> float:
  score = scores[SCORES[task]]
  return np.nan if score is None else 100.0 * score


def _std(values: Float[np.ndarray, '*k n']) -> Float[np.ndarray, '*k']:
  """Returns the standard deviation over the last axis, NaN of one value."""
  if values.shape[-1] < 2:
    return np.full(values.shape[:-1], np.nan)
  return values.std(axis=-1, ddof=1)


def _cell(mean: float, std: float, sign: str = '') -> str:
  spread = '' if np.isnan(std) else f' +- {std:.1f}'
  return f'{mean:{sign}.1f}{spread}'


def _line(*cells: str) -> str:
  return f'| {" | ".join(cells)} |'
