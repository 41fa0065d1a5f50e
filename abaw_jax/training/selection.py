"""What a run scores itself on, and which of its weights it keeps."""

from collections.abc import Mapping
import math
import pathlib
from typing import Any

import grain
import jax

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.checkpoints import task_bests
from abaw_jax.cpu import host_memory
from abaw_jax.inference import evaluation, prediction
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs, registry
from abaw_jax.telemetry import journal


class Selection:
  """Scores the weights of a run, and keeps the newest and the best of them.

  Attributes:
    checkpoints: of the run.
  """

  def __init__(
      self,
      config: Mapping[str, Any],
      workdir: pathlib.Path,
      task: registry.Task,
      mesh: jax.sharding.Mesh,
      validation: inputs.Source,
  ):
    """Opens what `workdir` holds.

    Args:
      config: of the run.
      workdir: folder of the run.
      task: what is trained.
      mesh: of all devices.
      validation: what weights are scored on.
    """
    self._config = config
    self._mesh = mesh
    self._validation = validation
    self._score = task.score
    self._predict_step = steps.jit_predict_step(task, mesh)
    self._is_compiled = False
    self.checkpoints = checkpoint.Checkpoints(
        workdir, score=task.score, best=task.best
    )
    self._task_bests = (
        task_bests.TaskBests(workdir) if config['keep_task_bests'] else None
    )

  def scores(self, weights: Any) -> dict[str, float]:
    """Returns the scores of some weights on the validation split."""
    rows = prediction.predict_rows(
        self._predict_step,
        weights,
        inputs.eval_batches(self._config, self._validation),
        self._mesh,
    )
    if not self._is_compiled:
      host_memory.retire_fragments()
      self._is_compiled = True
    return evaluation.score_rows(evaluation.listed(self._validation, rows))

  def go_on(self, state: steps.TrainState) -> None:
    """Forgets what an earlier process did behind the state it left."""
    if self._task_bests:
      self._task_bests.forget_after(int(state.step))

  def save(
      self,
      state: steps.TrainState,
      batches: grain.DatasetIterator,
      scores: dict[str, float] | None,
  ) -> None:
    """Starts to save the state; the bests of its tasks are saved when it ends.

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
    self.checkpoints.save(state, batches, self._config, scores)

  def say(self) -> None:
    """Says what is best, once all is saved: of one network, and by task."""
    if not self._task_bests:
      return
    self._task_bests.prune(self.checkpoints.latest_step())
    bests = self._task_bests.bests()
    step, score = self.checkpoints.best()
    if not bests or math.isnan(score):
      return
    journal.say(
        f'best of one network: {self._score} {score:.4f} (step {step:,})'
    )
    journal.say(task_bests.summary(bests))

  def close(self) -> None:
    """Waits for the last save, then lets go of the folders."""
    if self._task_bests:
      self._task_bests.close()
    self.checkpoints.close()
