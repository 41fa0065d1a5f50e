"""The `model` section of a config, completed from what another's file tells."""

from collections.abc import Callable, Mapping
from typing import Any

from abaw_jax.core import errors
from abaw_jax.models import zoo
from abaw_jax.models.vision import convnets

# Numbers of heads, which no shape tells, of the published models by width.
HEADS = {row['dim']: row['num_heads'] for row in zoo.VITS.values()}
DECODER_HEADS = {512: 16}


def vit(
    told: Mapping[str, Any],
    where: str,
    *,
    num_heads: int | None,
    decoder_num_heads: int | None,
    norm_pix: bool | None,
) -> dict[str, Any]:
  """Returns the section of a ViT or MAE, as `conversion.read` takes it.

  Args:
    told: what shapes tell, `Layout.describe`.
    where: file to name in messages.
    num_heads: attention heads; None takes those that are usual for the width.
    decoder_num_heads: likewise, of the decoder of a MAE.
    norm_pix: whether a MAE learned standardised patches; not None if it is one.
  """
  model = dict(told)
  sizes = {key: model.pop(key) for key in ('dim', 'depth')}
  sizes['num_heads'] = _heads(
      num_heads, HEADS, sizes['dim'], 'num_heads', where
  )
  names = [name for name, row in zoo.VITS.items() if row == sizes]
  model |= {'backbone': names[0]} if names else {'backbone': '', **sizes}
  model |= {
      'positions': 'sincos',
      'drop_path': 0.0,
      'dtype': 'float32',
      'remat': 'none',
      'scan': False,
  }
  if model['name'] != 'mae':
    return model
  heads = _heads(
      decoder_num_heads,
      DECODER_HEADS,
      model['decoder_dim'],
      'decoder_num_heads',
      where,
  )
  return model | {
      'decoder_num_heads': heads,
      'mask_ratio': 0.75,
      'norm_pix': norm_pix,
  }


def convnet(
    told: Mapping[str, Any], where: str, **options: int | bool | None
) -> dict[str, Any]:
  """Returns the section of a convolutional network.

  Args:
    told: what shapes tell, `Layout.describe`.
    where: file to name in messages.
    **options: those of ViTs, which must be None.

  Raises:
    InputError: if no network of that size has a name here, or an option of
      ViTs is given.
  """
  for name, value in options.items():
    if value is not None:
      raise errors.InputError(
          f'--{name}={value}: {where} holds a convolutional network, which has '
          'none; leave it out'
      )
  model = dict(told)
  kept = {
      key: model.pop(key)
      for key in ('name', 'image_size', 'num_classes')
      if key in model
  }
  names = [
      name for name, (_, sizes) in convnets.CONVNETS.items() if sizes == model
  ]
  if not names:
    raise errors.InputError(
        f'{where}: no network here has its sizes ({model}); there are '
        f'{", ".join(convnets.CONVNETS)}'
    )
  return kept | {'backbone': names[0], 'remat': 'none', 'dtype': 'float32'}


SECTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    'mae': vit,
    'vit': vit,
    'convnet': convnet,
}


def _heads(
    given: int | None,
    usual: Mapping[int, int],
    dim: int,
    flag: str,
    where: str,
) -> int:
  """Returns a number of heads, which no shape tells, or an InputError."""
  heads = given or usual.get(dim)
  if heads is None:
    raise errors.InputError(
        f'{where}: is {dim} wide, for which no number of heads is usual, and no '
        f'shape tells it; give --{flag}'
    )
  # Sine-cosine codes take a quarter of the channels each.
  if dim % heads or dim % 4:
    raise errors.InputError(
        f'{where}: is {dim} wide, which is no multiple of --{flag}={heads} and '
        'of 4; give the number that it was trained with'
    )
  return heads
