"""Pictures of the outputs of a model, for a person to judge."""

from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import UInt8
import numpy as np

from abaw_jax.core import errors
from abaw_jax.steps import steps
from abaw_jax.tasks import registry
from abaw_jax.tasks import task as task_lib
from abaw_jax.telemetry import grid

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


def make_pictures(
    task: task_lib.Task, mesh: jax.sharding.Mesh, source: Any
) -> Pictures | None:
  """Returns the pictures of a run; None if it wants none.

  Raises:
    InputError: it wants some, but its task has none.
  """
  config = task.config
  if not config['plot_steps']:
    return None
  if not task.picture:
    with_pictures = [n for n, known in registry.TASKS.items() if known.picture]
    raise errors.InputError(
        f'config.plot_steps={config["plot_steps"]}: a {task.name} model has no '
        f'pictures; these have: {", ".join(with_pictures)}; set it to 0'
    )
  images = choose_images(task, source, count=_COUNT, seed=config['seed'])
  return Pictures(task, mesh, images, seed=config['seed'], columns=task.columns)


def choose_images(
    task: task_lib.Task, source: Any, *, count: int, seed: int
) -> UInt8[np.ndarray, 'b h w 3']:
  """Returns `count` random images of a source, or all where it has fewer."""
  chosen = np.random.default_rng(seed).choice(
      len(source), min(count, len(source)), replace=False
  )
  records = [source[int(i)] for i in chosen]
  return task.transform()(records, rows=len(records))['image']
