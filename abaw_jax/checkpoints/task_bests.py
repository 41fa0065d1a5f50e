"""The best weights of each part of a task, for example of the AUs alone."""

from collections.abc import Mapping
import math
from typing import Any, NamedTuple

from jaxtyping import Array, PyTree
import orbax.checkpoint as ocp

from abaw_jax.checkpoints import orbax_buckets, parameters
from abaw_jax.core import errors, files, storage_errors

FOLDER = 'task_bests'


class Best(NamedTuple):
  """The best score of a part so far, and the first step with this score."""

  score: float
  step: int


class TaskBests:
  """Weights under `<workdir>/task_bests/<step>`, at most one step per part.

  Reference: AIM3-RUC report every task at its own best epoch, which is strictly
  better than all before it. Weights are complete before the checkpoint of the
  same step. They stay until a newer checkpoint does not need them, so a killed
  run that resumes from its newest checkpoint finds the best weights up to its
  step.
  """

  def __init__(self, workdir: files.Path, part_scores: Mapping[str, str]):
    """Opens the weights of `workdir` and removes incomplete ones.

    Args:
      workdir: folder of the run.
      part_scores: key of the score of each part, see `Task.part_scores`.
    """
    self._part_scores = part_scores
    self.directory = orbax_buckets.folder(workdir, FOLDER)
    self._manager = _open(
        self.directory,
        {
            'params': ocp.StandardCheckpointHandler(),
            'scores': ocp.JsonCheckpointHandler(),
        },
    )
    self._scores = _read_scores(self._manager)

  def bests(self, until: float | int = math.inf) -> dict[str, Best]:
    """Returns the best of every part that has a score, up to a step."""
    return _bests({k: v for k, v in self._scores.items() if k <= until})

  def forget_after(self, step: int) -> None:
    """Deletes the weights of later steps, which a resumed run repeats."""
    self._drop([later for later in self._scores if later > step])

  def save(
      self,
      step: int,
      weights: PyTree[Array],
      scores: Mapping[str, float],
      *,
      checkpoint: int | None,
  ) -> None:
    """Saves weights if a part has a new best score; waits until they are saved.

    Args:
      step: number of updates of the weights.
      weights: weights to save.
      scores: scores of the weights; NaN is never the best.
      checkpoint: step of the newest complete checkpoint, from which a killed
        run resumes; None means that there is none.

    Raises:
      InputError: the weights cannot be written, for example on a full disk.
    """
    self.prune(checkpoint)
    scores = {part: scores[key] for part, key in self._part_scores.items()}
    scores = {k: v for k, v in scores.items() if not math.isnan(v)}
    bests = self.bests()
    better = [
        part
        for part, score in scores.items()
        if part not in bests or score > bests[part].score
    ]
    if not better or step in self._scores:
      return
    with storage_errors.writing(self.directory, 'the best weights of a part'):
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
    """Deletes weights that are best neither now nor at this checkpoint."""
    bests = [*self.bests().values()]
    if checkpoint is not None:
      bests += self.bests(checkpoint).values()
    needed = {best.step for best in bests}
    self._drop([step for step in self._scores if step not in needed])

  def close(self) -> None:
    """Closes the folder."""
    self._manager.close()

  def _drop(self, steps) -> None:
    for step in steps:
      self._manager.delete(step)
      del self._scores[step]


def read(workdir: files.Path) -> dict[str, Best]:
  """Returns the best of every part of a run that has a score."""
  directory = orbax_buckets.folder(workdir, FOLDER)
  if not directory.is_dir():
    return {}
  with _open(
      directory, {'scores': ocp.JsonCheckpointHandler()}, read_only=True
  ) as manager:
    return _bests(_read_scores(manager))


def best_step(bests: Mapping[str, Best], part: str, workdir: files.Path) -> int:
  """Returns the best step of a part; raises an InputError without one."""
  if part not in bests:
    raise errors.InputError(
        f'{workdir}: holds no best weights of {part}; train with '
        f'--config.keep_task_bests on a dataset that has labels of {part}'
    )
  return bests[part].step


def load(workdir: files.Path, step: int, shapes: Any) -> Any:
  """Returns the weights of a step; raises as `parameters.load`.

  Args:
    workdir: folder of the run.
    step: step of a `Best`.
    shapes: nested dict of `jax.ShapeDtypeStruct`s with sharding.
  """
  directory = orbax_buckets.folder(workdir, FOLDER)
  folder = directory / str(step)
  with _open(
      directory, {'params': ocp.PyTreeCheckpointHandler()}, read_only=True
  ) as manager:
    try:
      return parameters.read(manager, step, shapes, None, folder)
    except storage_errors.ERRORS as e:
      raise errors.InputError(
          f'{folder}: cannot be read ({storage_errors.reason(e)}); remove '
          'it to ignore these weights'
      ) from e


def summary(bests: Mapping[str, Best], total: float) -> str:
  """Returns one line: the best of each part, and their `total` score."""
  each = ', '.join(
      f'{part} {best.score:.4f} (step {best.step:,})'
      for part, best in bests.items()
  )
  count = len({best.step for best in bests.values()})
  return (
      f'best of each part: {each}; total {total:.4f} with {count} '
      f'network{"s" if count > 1 else ""}'
  )


def _bests(scores: Mapping[int, Mapping[str, float]]) -> dict[str, Best]:
  bests: dict[str, Best] = {}
  for step in sorted(scores):
    for part, score in scores[step].items():
      if part not in bests or score > bests[part].score:
        bests[part] = Best(score, step)
  return bests


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
          cleanup_tmp_directories=not read_only,
          read_only=read_only,
          async_options=orbax_buckets.async_options(directory),
      ),
      item_handlers=handlers,
  )
