"""Pictures of the outputs of a model, for a person to judge."""

from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import UInt8
import numpy as np

from abaw_jax.distributed import sharding
from abaw_jax.steps import steps
from abaw_jax.tasks import task as task_lib
from abaw_jax.telemetry import grid, histograms, journal

# Images of one picture.
_COUNT = 8


class Pictures:
  """Pictures of fixed images, by a task's `draw`."""

  def __init__(
      self,
      task: task_lib.Task,
      mesh: jax.sharding.Mesh,
      images: UInt8[np.ndarray, 'b h w 3'],
      *,
      seed: int,
      columns: Sequence[str],
  ):
    """Fixes the images and the random numbers, so that pictures compare.

    Args:
      task: of the model.
      mesh: mesh of the parameters.
      images: RGB images of one size.
      seed: of the random numbers that `draw` uses.
      columns: the columns to show.
    """
    self._draw = steps.jit_draw(task, mesh)
    self._images = images
    self._key = jax.random.key(seed)
    self._columns = columns

  def draw(self, params: Any) -> tuple[UInt8[np.ndarray, 'h w 3'], float]:
    """Returns (the grid, mean loss of its images)."""
    drawn = jax.device_get(self._draw(params, self._images, self._key))
    loss = float(np.mean(drawn['loss'], dtype=np.float64))
    return grid.draw({name: drawn[name] for name in self._columns}), loss


class Plots:
  """Histograms of weights and gradients, and pictures if the task has any."""

  def __init__(self, task: task_lib.Task, mesh: jax.sharding.Mesh, source: Any):
    """Chooses the images of the pictures, unless `plot_steps` is 0.

    Args:
      task: of the run.
      mesh: mesh of the parameters.
      source: records of the validation split.
    """
    self._name = task.picture
    self._count = jax.jit(
        histograms.count_parts, out_shardings=sharding.replicated(mesh)
    )
    self._pictures = None
    seed = task.config['seed']
    if task.picture and task.config['plot_steps']:
      images = choose_images(task, source, count=_COUNT, seed=seed)
      self._pictures = Pictures(
          task, mesh, images, seed=seed, columns=task.columns
      )

  def draw(
      self, state: steps.TrainState, step: int, log: journal.Journal
  ) -> None:
    """Notes the histograms and writes a picture of a state."""
    log.note_histograms(step, self._count(state.params, state.opt_state))
    if self._pictures:
      image, _ = self._pictures.draw(state.weights)
      log.write_picture(step, self._name, image)


def choose_images(
    task: task_lib.Task, source: Any, *, count: int, seed: int
) -> UInt8[np.ndarray, 'b h w 3']:
  """Returns `count` random images of a source, or all where it has fewer."""
  chosen = np.random.default_rng(seed).choice(
      len(source), min(count, len(source)), replace=False
  )
  records = [source[int(i)] for i in chosen]
  return task.transform()(records, rows=len(records))['image']
