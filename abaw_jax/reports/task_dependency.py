"""Task dependency: the gain of a task if another task is trained with it."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from jaxtyping import Float
import numpy as np

from abaw_jax.core import text_table
from abaw_jax.scoring import metrics

SCORES = metrics.PART_SCORES
ALL_TASKS = 'all'

Tasks = tuple[str, ...]
Scores = Mapping[str, float | int | None]


@dataclasses.dataclass(frozen=True, eq=False)
class Gains:
  """Gains over training each task alone, in points (hundredths of a score).

  Columns are the scored tasks. In row i, task i is trained as well; in the last
  row all tasks are. NaN where both tasks are the same.
  """

  tasks: Tasks  # columns, and all rows except the last
  # Mean and standard deviation of the scores of single tasks, in points.
  alone: tuple[Float[np.ndarray, 'k'], Float[np.ndarray, 'k']]
  mean: Float[np.ndarray, 'r k']  # over seeds
  std: Float[np.ndarray, 'r k']  # over seeds (n - 1); NaN with one seed

  @property
  def rows(self) -> Tasks:
    """The names of the rows."""
    return (*(f'+ {task}' for task in self.tasks), ALL_TASKS)

  def table(self) -> list[str]:
    """Returns a table in Markdown: scores of single tasks, then gains."""
    rows = [('trained with', *self.tasks), ('alone', *map(_cell, *self.alone))]
    for name, mean, std in zip(self.rows, self.mean, self.std, strict=True):
      cells = (
          'none' if np.isnan(a) else _cell(a, b, sign='+')
          for a, b in zip(mean, std, strict=True)
      )
      rows.append((name, *cells))
    return text_table.markdown(rows)

  def as_json(self) -> dict[str, Any]:
    """Returns the same values for JSON; NaN becomes None."""

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
  """Returns the gain of every task with every other task, and with all tasks.

  Differences are taken within a seed, whose runs have the same data and order. The
  scores of a seed are by the trained tasks, in the order of `tasks`; the score of a
  task without labels is None.
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
  """Returns the standard deviation over the last axis; NaN for one value."""
  if values.shape[-1] < 2:
    return np.full(values.shape[:-1], np.nan)
  return values.std(axis=-1, ddof=1)


def _cell(mean: float, std: float, sign: str = '') -> str:
  spread = '' if np.isnan(std) else f' +- {std:.1f}'
  return f'{mean:{sign}.1f}{spread}'
