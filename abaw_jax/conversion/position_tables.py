"""Position embeddings, which files of other projects store and our ViTs compute."""

from collections.abc import Mapping
import math
import pathlib
from typing import Any

from jaxtyping import Float
import numpy as np

from abaw_jax.conversion import bicubic
from abaw_jax.core import errors
from abaw_jax.models import zoo
from abaw_jax.models.layers import positions
from abaw_jax.tasks import registry

# Largest difference between a stored table and the sine-cosine table.
TOLERANCE = 1e-5
_DECODER = 'decoder_pos_embed'


def sincos_tables(model: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """Returns the sine-cosine tables [1, n + 1, d] of a ViT or MAE by path.

  Without a class token they are [1, n, d]. Convolutional networks and rotary
  positions have none.

  Args:
    model: `model` section of a config; a MAE's decoder has a table, too.
  """
  if zoo.is_convnet(model) or model['positions'] == 'rotary':
    return {}
  vit = zoo.make_backbone(model)
  backbone = registry.task_class({'model': model}).backbone
  tables = {f'{backbone}/pos_embed': vit.position_codes}
  if 'decoder_dim' in model:
    width = model['decoder_dim']
    tables[_DECODER] = positions.sincos_2d(vit.grid, width)[None]
  return tables


def are_sincos(
    params: Mapping[str, np.ndarray],
    model: Mapping[str, Any],
    dtypes: Mapping[str, np.dtype],
) -> bool:
  """Returns whether all tables of a file are sine-cosine; see `reconcile`."""
  return max(_gaps(params, model, dtypes).values()) <= TOLERANCE


def _gaps(params, model, dtypes) -> dict[str, float]:
  """Returns the largest difference from each sine-cosine table by path."""
  return {
      # A file of half precision has rounded tables.
      path: float(np.abs(params[path] - table.astype(dtypes[path])).max())
      for path, table in sincos_tables(model).items()
  }


def reconcile(
    params: Mapping[str, np.ndarray],
    model: Mapping[str, Any],
    *,
    dtypes: Mapping[str, np.dtype],
    image_size: int,
    resampling: Mapping[str, Any],
    checkpoint: pathlib.Path,
) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
  """Drops tables that the model computes, and resamples learned tables.

  Args:
    params: float32 parameters by path, with every table of `sincos_tables`.
    model: `model` section of a config, for the image size of the file.
    dtypes: dtype of each table in the file, by path.
    image_size: new side of the images in pixels.
    resampling: options of `bicubic.resize`.
    checkpoint: file to name in messages.

  Returns:
    Parameters, `model` section and a line about the tables for the report.

  Raises:
    InputError: if a decoder has learned positions, or the patches do not fill
      an image of that size.
  """
  params, model = dict(params), dict(model)
  gaps = _gaps(params, model, dtypes)
  if _DECODER in gaps:
    del params[_DECODER]
    if gaps.pop(_DECODER) > TOLERANCE:
      raise errors.InputError(
          f'{checkpoint}: {_DECODER} is not the sine-cosine table of MAE, the '
          'only positions of our decoder; convert the encoder alone: remove '
          'mask_token and all tensors whose names start with decoder'
      )
  ((path, gap),) = gaps.items()
  if image_size == model['image_size'] and gap <= TOLERANCE:
    del params[path]
    note = f'computed; the file differs by at most {gap:.1e}'
    return params, model, note if gap else 'computed'
  model['positions'] = 'learned'
  if image_size == model['image_size']:
    return params, model, f'learned; differ from sine-cosine by up to {gap:.1e}'
  check_patches(image_size, model, checkpoint)
  note = f'learned; resampled from {model["image_size"]} to {image_size} pixels'
  grid = image_size // model['patch_size']
  # A video network has a table for each tubelet.
  count = model.get('num_frames', 1) // model.get('tubelet_size', 1)
  params[path] = np.concatenate(
      [
          _resample(table, grid, resampling)
          for table in np.split(params[path], count, axis=1)
      ],
      axis=1,
  )
  return params, model | {'image_size': image_size}, note


def check_patches(
    image_size: int, model: Mapping[str, Any], checkpoint: pathlib.Path
) -> None:
  """Raises an InputError unless patches fill an image of that size."""
  if image_size % model['patch_size']:
    raise errors.InputError(
        f'--image_size={image_size}: is no multiple of the patches of '
        f'{model["patch_size"]} pixels of {checkpoint}; choose a multiple'
    )


def _resample(
    table: Float[np.ndarray, '1 n d'], grid: int, options: Mapping[str, Any]
) -> Float[np.ndarray, '1 m d']:
  """Returns the table for another grid; keeps the row of a cls token."""
  old = math.isqrt(table.shape[1])
  prefix = table.shape[1] - old**2
  rows = table[0, prefix:].reshape(old, old, -1)
  rows = bicubic.resize(rows, size=grid, **options).reshape(1, grid * grid, -1)
  return np.concatenate([table[:, :prefix], rows], axis=1)
