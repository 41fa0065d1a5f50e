"""The weights that each task alone was best with, beside the checkpoints."""

from collections.abc import Mapping
import math
import pathlib
from typing import Any, NamedTuple

from jaxtyping import Array, PyTree
import orbax.checkpoint as ocp

from abaw_jax.checkpoints import parameters
from abaw_jax.core import errors, storage_errors

# The score that a task is chosen by.
SCORES = {
    'valence': 'CCC_valence',
    'arousal': 'CCC_arousal',
    'expression': 'EXPR',
    'au': 'AU',
}
FOLDER = 'task_bests'


class Best(NamedTuple):
  """The best score of a task so far, and the step that had it first."""

  score: float
  step: int


class TaskBests:
  """Weights under `<workdir>/task_bests/<step>`, at most one for each task.

  Reference: AIM3-RUC, every task is reported in its own best epoch, strictly
  better than those before it. Weights are whole here before the checkpoint of the
  same step is, and stay until one is that does without them: a run that was
  killed goes on from its newest checkpoint, and finds what was best until then.
  """

  def __init__(self, workdir: pathlib.Path):
    """Opens the weights of `workdir`; those that are not whole are dropped."""
    self.directory = workdir.resolve() / FOLDER
    self._manager = _open(
        self.directory,
        {
            'params': ocp.StandardCheckpointHandler(),
            'scores': ocp.JsonCheckpointHandler(),
        },
    )
    self._scores = _read_scores(self._manager)

  def bests(self, until: float | int = math.inf) -> dict[str, Best]:
    """Returns the best of every task that has a score, up to a step."""
    return _bests({k: v for k, v in self._scores.items() if k <= until})

  def forget_after(self, step: int) -> None:
    """Drops what a run has done behind the step that it goes on from."""
    self._drop([later for later in self._scores if later > step])

  def save(
      self,
      step: int,
      weights: PyTree[Array],
      scores: Mapping[str, float],
      *,
      checkpoint: int | None,
  ) -> None:
    """Saves weights if they make a task better; returns once they are whole.

    Args:
      step: updates that they have had.
      weights: to save.
      scores: of these weights; a task whose score is NaN has no best.
      checkpoint: step of the newest whole checkpoint, from which a killed run
        would go on; None means from scratch.

    Raises:
      InputError: they cannot be written, for want of room, say.
    """
    self.prune(checkpoint)
    scores = {task: scores[key] for task, key in SCORES.items()}
    scores = {k: v for k, v in scores.items() if not math.isnan(v)}
    bests = self.bests()
    better = [
        task
        for task, score in scores.items()
        if task not in bests or score > bests[task].score
    ]
    if not better or step in self._scores:
      return
    with storage_errors.writing(self.directory, 'the best weights of a task'):
      self._manager.save(
          step,
          args=ocp.args.Composite(
              params=ocp.args.StandardSave(weights),
              scores=ocp.args.JsonSave(scores),
          ),
      )
      self._manager.wait_until_finished()
    self._scores[step] = scores

  def prune(self, checkpoint: int | None) -> None:
    """Drops what is no best, nor was one up to this checkpoint."""
    bests = [*self.bests().values()]
    if checkpoint is not None:
      bests += self.bests(checkpoint).values()
    needed = {best.step for best in bests}
    self._drop([step for step in self._scores if step not in needed])

  def close(self) -> None:
    """Lets go of the folder."""
    self._manager.close()

  def _drop(self, steps) -> None:
    for step in steps:
      self._manager.delete(step)
      del self._scores[step]


def read(workdir: pathlib.Path) -> dict[str, Best]:
  """Returns the best of every task of a run that has a score."""
  directory = workdir.resolve() / FOLDER
  if not directory.is_dir():
    return {}
  with _open(
      directory, {'scores': ocp.JsonCheckpointHandler()}, read_only=True
  ) as manager:
    return _bests(_read_scores(manager))


def step_of(bests: Mapping[str, Best], task: str, workdir: pathlib.Path) -> int:
  """Returns the step that a task was best at, or raises an InputError."""
  if task not in bests:
    raise errors.InputError(
        f'{workdir}: holds no best weights of {task}; train with '
        '--config.keep_task_bests, on a dataset with labels of it'
    )
  return bests[task].step


def load(workdir: pathlib.Path, step: int, shapes: Any) -> Any:
  """Returns the weights of a step; raises an InputError if they do not fit.

  Args:
    workdir: folder of the run.
    step: of a `Best`.
    shapes: nested dict of `jax.ShapeDtypeStruct`s with sharding.
  """
  directory = workdir.resolve() / FOLDER
  folder = directory / str(step)
  with _open(
      directory, {'params': ocp.PyTreeCheckpointHandler()}, read_only=True
  ) as manager:
    try:
      return parameters.read(manager, step, shapes, None, folder)
    except storage_errors.ERRORS as e:
      raise errors.InputError(
          f'{folder}: cannot be read ({storage_errors.reason(e)}); remove it to go '
          'without these weights'
      ) from e


def together(bests: Mapping[str, Best]) -> float:
  """Returns P_MTL of every task at its best; NaN where one has no score."""
  if len(bests) < len(SCORES):
    return math.nan
  scores = {task: best.score for task, best in bests.items()}
  va = (scores['valence'] + scores['arousal']) / 2
  return va + scores['expression'] + scores['au']


def summary(bests: Mapping[str, Best]) -> str:
  """Returns what the bests are, and what they are together, in a line."""
  each = ', '.join(
      f'{task} {best.score:.4f} (step {best.step:,})'
      for task, best in bests.items()
  )
  count = len({best.step for best in bests.values()})
  return (
      f'best of each task by itself: {each}; together P_MTL '
      f'{together(bests):.4f}, of {count} network{"s" if count > 1 else ""}'
  )


def _bests(scores: Mapping[int, Mapping[str, float]]) -> dict[str, Best]:
  bests: dict[str, Best] = {}
  for step in sorted(scores):
    for task, score in scores[step].items():
      if task not in bests or score > bests[task].score:
        bests[task] = Best(score, step)
  return {task: bests[task] for task in SCORES if task in bests}


def _read_scores(manager) -> dict[int, dict[str, float]]:
  return {
      step: manager.restore(
          step, args=ocp.args.Composite(scores=ocp.args.JsonRestore())
      )['scores']
      for step in manager.all_steps()
  }


def _open(directory, handlers, *, read_only: bool = False):
  return ocp.CheckpointManager(
      directory,
      options=ocp.CheckpointManagerOptions(
          cleanup_tmp_directories=not read_only, read_only=read_only
      ),
      item_handlers=handlers,
  )
