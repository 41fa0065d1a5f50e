"""Scores of a run on the validation split, and the weights that it keeps."""

import math
from typing import Any

import grain
import jax

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.checkpoints import task_bests
from abaw_jax.core import errors, files
from abaw_jax.inference import prediction
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs
from abaw_jax.tasks import task as task_lib
from abaw_jax.telemetry import journal


class Selection:
  """Scores the weights of a run, and keeps the newest and the best of them.

  Attributes:
    checkpoints: of the run.
  """

  def __init__(
      self,
      task: task_lib.Task,
      workdir: files.Path,
      mesh: jax.sharding.Mesh,
      validation: Any,
  ):
    """Opens the checkpoints of `workdir`.

    Args:
      task: of the run.
      workdir: folder of the run.
      mesh: of all devices.
      validation: source of the validation split.
    """
    self._task = task
    self._mesh = mesh
    self._validation = validation
    self._predict_step = steps.jit_predict_step(task, mesh)
    self.checkpoints = checkpoint.Checkpoints(
        workdir, score=task.score, best=task.best
    )
    self._task_bests = None
    if task.config['keep_task_bests']:
      self._task_bests = task_bests.TaskBests(workdir, task.part_scores)

  def scores(self, weights: Any) -> dict[str, float]:
    """Returns the scores of some weights on the validation split."""
    rows = prediction.predict_rows(
        self._predict_step,
        weights,
        inputs.eval_batches(self._task, self._validation),
        self._mesh,
    )
    return self._task.scores(self._validation.listed(rows))

  def resume(self, state: steps.TrainState) -> None:
    """Forgets the best weights of steps that a killed process did not save."""
    if self._task_bests:
      self._task_bests.forget_after(int(state.step))

  def save(
      self,
      state: steps.TrainState,
      batches: grain.DatasetIterator,
      scores: dict[str, float] | None,
  ) -> None:
    """Starts to save the state; the best weights of parts are saved at once.

    Raises:
      InputError: as `Checkpoints.save`.
    """
    if self._task_bests and scores is not None:
      self._task_bests.save(
          int(state.step),
          state.weights,
          scores,
          checkpoint=self.checkpoints.latest_step(),
      )
    self.checkpoints.save(state, batches, self._task.config, scores)

  def report(self) -> None:
    """Prints the best scores, of one network and of each part, after the run."""
    if not self._task_bests:
      return
    self._task_bests.prune(self.checkpoints.latest_step())
    bests = self._task_bests.bests()
    step, score = self.checkpoints.best()
    if not bests or math.isnan(score):
      return
    journal.say(
        f'best of one network: {self._task.score} {score:.4f} (step {step:,})'
    )
    parts = {
        part: bests[part].score if part in bests else math.nan
        for part in self._task.part_scores
    }
    total = self._task.part_total(parts)
    journal.say(task_bests.summary(bests, total))

  def close(self) -> None:
    """Waits for the last save, then closes the folders."""
    if self._task_bests:
      self._task_bests.close()
    self.checkpoints.close()


def check(task: task_lib.Task) -> None:
  """Raises an InputError if a task cannot keep the best weights of its parts."""
  if task.config['keep_task_bests'] and not task.part_scores:
    raise errors.InputError(
        f'config.keep_task_bests=True: a {task.name} model has one score and no '
        'parts with scores of their own; set it to False'
    )
