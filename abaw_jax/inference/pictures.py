"""Pictures of what a model does, for a person to judge."""

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import UInt8
import numpy as np

from abaw_jax.core import errors
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs, mae, registry
from abaw_jax.telemetry import grid

# Images of one picture.
_COUNT = 8


class Reconstruction:
  """Images, what a masked autoencoder sees of them, and what it makes of it.

  Attributes:
    name: what the picture is called.
  """

  name = 'reconstruction'

  def __init__(
      self,
      task: mae.MAETask,
      mesh: jax.sharding.Mesh,
      images: UInt8[np.ndarray, 'b h w 3'],
      *,
      seed: int,
      prediction: bool = False,
  ):
    """Fixes images and masks, so that pictures can be compared.

    Args:
      task: task of the model.
      mesh: mesh of the parameters.
      images: RGB images of one size.
      seed: decides which patches are hidden.
      prediction: whether to add a column with the prediction of all patches.
    """
    self._step = steps.jit_reconstruct_step(task, mesh)
    self._images = images
    self._noise = np.asarray(
        jax.random.uniform(
            jax.random.key(seed), (len(images), task.model.encoder.num_patches)
        )
    )
    self._prediction = prediction

  def draw(self, params: Any) -> tuple[UInt8[np.ndarray, 'h w 3'], float]:
    """Returns (the grid, mean loss of its images)."""
    columns = jax.device_get(self._step(params, self._images, self._noise))
    loss = float(np.mean(columns.pop('loss'), dtype=np.float64))
    titles = ('original', 'masked', 'reconstructed', 'predicted')
    if not self._prediction:
      titles = titles[:-1]
    return grid.draw({title: columns[title] for title in titles}), loss


# Models that have a picture, by the name in their config.
PICTURES = {'mae': Reconstruction}


def make_pictures(
    config: Mapping[str, Any],
    task: registry.Task,
    mesh: jax.sharding.Mesh,
    source: inputs.Source,
) -> Reconstruction | None:
  """Returns what draws the pictures of a run, None if it wants none.

  Raises:
    InputError: it wants some, but its model has none.
  """
  if not config['plot_steps']:
    return None
  name = config['model']['name']
  if name not in PICTURES:
    raise errors.InputError(
        f'config.plot_steps={config["plot_steps"]}: a {name} model has no '
        f'pictures, only {", ".join(PICTURES)} has; set it to 0'
    )
  images = choose_images(config, source, count=_COUNT, seed=config['seed'])
  return PICTURES[name](task, mesh, images, seed=config['seed'])


def choose_images(
    config: Mapping[str, Any], source: inputs.Source, *, count: int, seed: int
) -> UInt8[np.ndarray, 'b h w 3']:
  """Returns `count` images of a source, or all where it has fewer."""
  chosen = np.random.default_rng(seed).choice(
      len(source), min(count, len(source)), replace=False
  )
  records = [source[int(i)] for i in chosen]
  return inputs.make_transform(config)(records, rows=len(records))['image']
