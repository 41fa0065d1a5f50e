"""Tables of positions, which files of other projects hold and our ViTs compute."""

from collections.abc import Mapping
import math
from typing import Any

from jaxtyping import Float
import numpy as np

from abaw_jax.conversion import bicubic
from abaw_jax.core import errors
from abaw_jax.models import zoo
from abaw_jax.models.layers import positions
from abaw_jax.steps import optimization

# How far a table may be from the fixed codes and count as them.
TOLERANCE = 1e-5
_DECODER = 'decoder_pos_embed'


def fixed(model: Mapping[str, Any]) -> dict[str, np.ndarray]:
  """Returns the sine-cosine tables [1, n + 1, d] of a ViT or MAE by path.

  Args:
    model: `model` section of a config; a MAE's decoder has a table too.
  """
  vit = zoo.make_backbone(model)
  widths = {f'{optimization.BACKBONES[model["name"]]}/pos_embed': vit.dim}
  if 'decoder_dim' in model:
    widths[_DECODER] = model['decoder_dim']
  return {
      path: positions.sincos_2d(vit.grid, width)[None]
      for path, width in widths.items()
  }


def settle(
    params: Mapping[str, np.ndarray],
    model: Mapping[str, Any],
    *,
    dtypes: Mapping[str, np.dtype],
    image_size: int,
    where: str,
) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
  """Returns parameters and `model` section without tables that are computed.

  Args:
    params: float32 parameters by path, with every table of `fixed`.
    model: `model` section of a config, for the image size of the tables.
    dtypes: in what type the file has each table, by path.
    image_size: side in pixels that is wanted; learned tables are resampled.
    where: file to name in messages.

  Returns:
    Parameters, section and a line that says what became of the tables.

  Raises:
    InputError: if a decoder has learned positions, or the patches do not fill
      an image of that size.
  """
  params, model = dict(params), dict(model)
  codes = fixed(model)
  gaps = {
      # A file of half precision has the codes in half precision.
      path: np.abs(params[path] - table.astype(dtypes[path])).max()
      for path, table in codes.items()
  }
  if _DECODER in codes:
    del params[_DECODER]
    # Not a number is no small gap either.
    if not gaps.pop(_DECODER) <= TOLERANCE:
      raise errors.InputError(
          f'{where}: {_DECODER} is not the sine-cosine table of MAE, the only '
          'positions that our decoder has; convert the encoder alone, without '
          'the tensors that start with decoder and mask_token'
      )
  ((path, gap),) = gaps.items()
  if image_size == model['image_size'] and gap <= TOLERANCE:
    del params[path]
    return params, model, f'computed; the file has them within {gap:.1e}'
  model['positions'] = 'learned'
  if image_size == model['image_size']:
    return params, model, f'learned; up to {gap:.1e} from sine-cosine'
  if image_size < 1 or image_size % model['patch_size']:
    raise errors.InputError(
        f'--image_size={image_size} is not a multiple of the patches of '
        f'{model["patch_size"]} pixels of {where}; choose one that is'
    )
  note = f'learned; resampled from {model["image_size"]} to {image_size} pixels'
  params[path] = _resample(params[path], image_size // model['patch_size'])
  return params, model | {'image_size': image_size}, note


def _resample(
    table: Float[np.ndarray, '1 n d'], grid: int
) -> Float[np.ndarray, '1 m d']:
  """Returns the table of another grid; the row of the cls token stays."""
  old = math.isqrt(table.shape[1] - 1)
  codes = table[0, 1:].reshape(old, old, -1)
  codes = bicubic.resize(codes, size=grid).reshape(1, grid * grid, -1)
  return np.concatenate([table[:, :1], codes], axis=1)
