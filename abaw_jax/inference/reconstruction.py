"""Reconstructions of chosen images by a trained masked autoencoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import UInt8
import numpy as np

from abaw_jax.checkpoints import runs, weights
from abaw_jax.core import errors, files
from abaw_jax.data import transforms
from abaw_jax.distributed import sharding
from abaw_jax.inference import pictures
from abaw_jax.steps import steps
from abaw_jax.tasks import images as image_tasks
from abaw_jax.tasks import registry
from abaw_jax.telemetry import grid


def reconstruct(
    *,
    init_from: files.Path,
    out: files.Path,
    data: files.Path | None,
    split: str,
    images: Sequence[files.Path],
    num_images: int,
    seed: int,
    prediction: bool,
) -> tuple[int, float]:
  """Writes a grid as PNG; returns (its number of images, their mean loss).

  Args:
    init_from: workdir of a MAE run, or a folder of weights with a decoder.
    out: file to write.
    data: built dataset, `<data_dir>/<name>` or `<data_dir>/<name>/<config>`, to
      draw images from; None = the dataset of the run.
    split: split of the dataset.
    images: image files, instead of a dataset.
    num_images: images to draw from the dataset.
    seed: decides which images are drawn and which patches are hidden.
    prediction: whether to add a column with the prediction of all patches.

  Raises:
    InputError: the weights are not of a masked autoencoder, or there are no such
      images.
  """
  config = runs.read_config(init_from)
  kind = registry.task_class(config)
  if not kind.picture:
    raise errors.InputError(
        f'{init_from}: a {kind.name} model has no decoder to reconstruct with; '
        'name a run of configs/mae.py, or converted weights of a MAE with its '
        'decoder'
    )
  if not images:
    config = _with_data(config, data, init_from)
  task = registry.make_task(config)
  if images:
    size = {'image_size': config['model']['image_size']}
    faces = _read_images(images, image_tasks.decoding(config) | size)
  else:
    faces = pictures.choose_images(
        task, task.source(split), count=num_images, seed=seed
    )
  mesh = sharding.make_mesh(fsdp=1)
  with jax.set_mesh(mesh):
    shapes = steps.param_shapes(task, {'image': jnp.asarray(faces[:1])}, mesh)
    params, _ = weights.load(init_from, config['model'], shapes)
    columns = task.columns + (task.extra_columns if prediction else ())
    picture = pictures.Pictures(task, mesh, faces, seed=seed, columns=columns)
    image, loss = picture.draw(params)
  files.write(out, grid.encode_png(image))
  return len(faces), loss


def _read_images(
    paths: Sequence[files.Path], decoding: Mapping[str, Any]
) -> UInt8[np.ndarray, 'b s s 3']:
  """Returns image files as squares; an error names a broken file."""
  faces = []
  for path in paths:
    if not path.is_file():
      raise errors.InputError(
          f'--images: {path}: there is no such file; name image files'
      )
    record = {'image': path.read_bytes()}
    try:
      batch = transforms.image_batch([record], rows=1, **decoding)
    except errors.InputError as e:
      raise errors.InputError(f'{path}: not an image; name another file') from e
    faces.append(batch['image'])
  return np.concatenate(faces)


def _with_data(
    config: Mapping[str, Any], data: files.Path | None, origin: files.Path
) -> dict[str, Any]:
  """Returns the config with the dataset of the images."""
  if data is None:
    if 'data' not in config:
      raise errors.InputError(
          f'{origin}: names no dataset; name images with '
          '--data=DATA_DIR/NAME or --images=FILE'
      )
    runs.check_data(origin, config['data']['dir'])
    return dict(config)
  # A folder with versions is one config of a dataset.
  folder = data.parent if any(data.glob('*/dataset_info.json')) else data
  name = data.relative_to(folder.parent).as_posix()
  section = {'dir': str(folder.parent), 'name': name}
  # Options of the run's own dataset do not apply to another one.
  section |= {'weights': '', 'face_size': 0}
  return dict(config) | {'data': section}
