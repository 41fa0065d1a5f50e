"""Builds every model by name from the `model` section of a config."""

from collections.abc import Callable, Mapping
import inspect
from typing import Any

from flax import linen as nn

from abaw_jax.core import choices, errors
from abaw_jax.models import temporal_zoo
from abaw_jax.models.layers import dtypes, rematerialization
from abaw_jax.models.multi_task import frame_model
from abaw_jax.models.vision import classifier, convnets, identity, mae, vit

POOLS = ('mean', 'mean_norm', 'cls')
POSITIONS = ('sincos', 'learned')

# Sizes of the ViTs; patch size and image size are separate keys.
VITS = {
    'vit_nano': {'dim': 64, 'depth': 2, 'num_heads': 2},
    'vit_micro': {'dim': 192, 'depth': 3, 'num_heads': 3},
    'vit_ti': {'dim': 192, 'depth': 12, 'num_heads': 3},
    'vit_s': {'dim': 384, 'depth': 12, 'num_heads': 6},
    'vit_b': {'dim': 768, 'depth': 12, 'num_heads': 12},
    'vit_l': {'dim': 1024, 'depth': 24, 'num_heads': 16},
    'vit_h': {'dim': 1280, 'depth': 32, 'num_heads': 16},
}


def make_vit(
    *,
    backbone: str,
    image_size: int,
    patch_size: int,
    positions: str,
    drop_path: float,
    remat: str,
    scan: bool,
    dtype: str,
    pool: str = 'mean',
    dim: int = 0,
    depth: int = 0,
    num_heads: int = 0,
) -> vit.ViT:
  """Returns the ViT with the name `backbone`, or raises an InputError.

  With `backbone=''` the sizes are `dim`, `depth` and `num_heads`.
  """
  sizes = {'dim': dim, 'depth': depth, 'num_heads': num_heads}
  if backbone or not all(sizes.values()):
    sizes = choices.choose(VITS, backbone, 'model.backbone')
  if sizes['dim'] % sizes['num_heads']:
    raise errors.InputError(
        f'config.model.dim={dim} is not a multiple of '
        f'config.model.num_heads={num_heads}: choose widths that divide'
    )
  choices.choose(dict.fromkeys(POOLS), pool, 'model.pool')
  choices.choose(dict.fromkeys(POSITIONS), positions, 'model.positions')
  choices.choose(rematerialization.POLICIES, remat, 'model.remat')
  if image_size % patch_size:
    raise errors.InputError(
        f'config.model.image_size={image_size} is not a multiple of '
        f'config.model.patch_size={patch_size}: choose sizes that divide'
    )
  return vit.ViT(
      **sizes,
      image_size=image_size,
      patch_size=patch_size,
      pool=pool,
      positions=positions,
      drop_path=drop_path,
      remat=remat,
      scan=scan,
      dtype=choices.choose(dtypes.DTYPES, dtype, 'model.dtype'),
  )


def make_convnet(
    *, backbone: str, image_size: int, remat: str, dtype: str
) -> nn.Module:
  """Returns the convolutional backbone with the name `backbone`."""
  module, sizes = choices.choose(convnets.CONVNETS, backbone, 'model.backbone')
  choices.choose(rematerialization.POLICIES, remat, 'model.remat')
  return module(
      **sizes,
      image_size=image_size,
      remat=remat,
      dtype=choices.choose(dtypes.DTYPES, dtype, 'model.dtype'),
  )


def is_convnet(model: Mapping[str, Any]) -> bool:
  """Returns whether a `model` section has a convolutional backbone."""
  return model.get('backbone') in convnets.CONVNETS


def _backbone_maker(model: Mapping[str, Any]) -> Callable[..., nn.Module]:
  """Returns the function that builds the backbone of a `model` section."""
  return make_convnet if is_convnet(model) else make_vit


def _backbone(**section: Any) -> nn.Module:
  return _backbone_maker(section)(**section)


def backbone_section(model: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the `model` section of only the backbone of a model.

  Raises:
    InputError: if the model has no image backbone.
  """
  if 'backbone' not in model:
    raise errors.InputError(
        f'config.model.name={model["name"]} has no image backbone; use a mae, '
        'frame, identity, vit or convnet model'
    )
  wanted = _keys(_backbone_maker(model), model)
  keys = {k: v for k, v in model.items() if k in wanted}
  return {'name': 'convnet' if is_convnet(model) else 'vit'} | keys


def make_backbone(model: Mapping[str, Any]) -> nn.Module:
  """Returns only the backbone of a `model` section of a config."""
  return make_model(**backbone_section(model)).backbone


def make_mae(
    *,
    decoder_dim: int,
    decoder_depth: int,
    decoder_num_heads: int,
    mask_ratio: float,
    norm_pix: bool,
    **backbone: Any,
) -> mae.MAE:
  """Returns a masked autoencoder; `backbone` are arguments of `make_vit`."""
  return mae.MAE(
      encoder=make_vit(**backbone),
      decoder_dim=decoder_dim,
      decoder_depth=decoder_depth,
      decoder_num_heads=decoder_num_heads,
      mask_ratio=mask_ratio,
      norm_pix=norm_pix,
  )


def make_frame(*, dropout: float, **backbone: Any) -> frame_model.FrameModel:
  """Returns a frame model; `backbone` are arguments of the backbone."""
  return frame_model.FrameModel(_backbone(**backbone), dropout=dropout)


def make_identity(
    *, num_classes: int, head: str, **backbone: Any
) -> identity.IdentityModel:
  """Returns an identity model; `backbone` are arguments of the backbone."""
  choices.choose(dict.fromkeys(identity.HEADS), head, 'model.head')
  return identity.IdentityModel(
      _backbone(**backbone), num_classes=num_classes, head=head
  )


def make_classifier(
    *, num_classes: int = 0, **backbone: Any
) -> classifier.Classifier:
  """Returns a backbone from its arguments; 0 classes means no classifier."""
  return classifier.Classifier(_backbone(**backbone), num_classes=num_classes)


MODELS: dict[str, Callable[..., nn.Module]] = {
    'mae': make_mae,
    'frame': make_frame,
    'identity': make_identity,
    'temporal': temporal_zoo.make_temporal,
    'vit': make_classifier,
    'convnet': make_classifier,
}


def make_model(*, name: str, **section: Any) -> nn.Module:
  """Returns the model `name`, built from the other keys of its config section.

  Raises:
    InputError: if there is no such model, or keys are missing or unknown.
  """
  make = choices.choose(MODELS, name, 'model.name')
  keys = _keys(make, section)
  missing = {key for key, required in keys.items() if required} - set(section)
  unknown = set(section) - set(keys)
  if missing or unknown:
    raise errors.InputError(
        f'config.model.name={name}: the keys belong to another model (missing: '
        f'{choices.listing(sorted(missing))}; unknown: '
        f'{choices.listing(sorted(unknown))}); choose another --config, '
        'and leave its model.name unchanged'
    )
  return make(**section)


def _keys(
    make: Callable[..., Any], section: Mapping[str, Any]
) -> dict[str, bool]:
  """Returns the arguments of a function of this file; True if required."""
  keys = {}
  for parameter in inspect.signature(make).parameters.values():
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
      keys |= _keys(_backbone_maker(section), section)
    else:
      keys[parameter.name] = parameter.default is inspect.Parameter.empty
  return keys
