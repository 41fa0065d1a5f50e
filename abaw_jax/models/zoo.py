"""Builds every model by name from the `model` section of a config."""

from collections.abc import Callable, Mapping
import functools
import inspect
from typing import Any

from flax import linen as nn

from abaw_jax.core import choices, errors, labels
from abaw_jax.models import convnet_zoo, super_resolution_zoo, temporal_zoo
from abaw_jax.models.layers import dense, dtypes, rematerialization
from abaw_jax.models.multi_task import frame_model
from abaw_jax.models.vision import classifier, identity, mae, video_vit, vit

POOLS = ('mean', 'mean_norm', 'mean_raw', 'cls', 'attention')
POSITIONS = ('sincos', 'learned', 'rotary')
# Dense layers of a ViT that LoRA can adapt.
LORA_TARGETS = ('qkv', 'proj', 'fc1', 'fc2', 'patch_embed')

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
    cudnn_attention: bool = False,
    lora_rank: int = 0,
    lora_alpha: float = 16.0,
    lora_targets: str = 'qkv,proj,fc1,fc2',
    pool: str = 'mean',
    dim: int = 0,
    depth: int = 0,
    num_heads: int = 0,
    mlp_dim: int = 0,
    activation: str = 'gelu',
    layer_scale: bool = False,
    num_registers: int = 0,
    class_token: bool = True,
    pre_norm: bool = False,
    norm_eps: float = 1e-6,
    num_frames: int = 0,
    tubelet_size: int = 2,
    span: str = 'tubelet',
) -> vit.ViT:
  """Returns the ViT with the name `backbone`, or raises an InputError.

  With `backbone=''` the sizes are `dim`, `depth` and `num_heads`. With `num_frames`,
  it is a `VideoViT`.
  """
  sizes = {'dim': dim, 'depth': depth, 'num_heads': num_heads}
  if backbone or not all(sizes.values()):
    sizes = choices.choose(VITS, backbone, 'model.backbone')
  if sizes['dim'] % sizes['num_heads']:
    raise errors.InputError(
        f'config.model.dim={dim} is not a multiple of '
        f'config.model.num_heads={num_heads}: choose widths that divide'
    )
  if image_size % patch_size:
    raise errors.InputError(
        f'config.model.image_size={image_size} is not a multiple of '
        f'config.model.patch_size={patch_size}: choose sizes that divide'
    )
  if positions == 'rotary' and sizes['dim'] // sizes['num_heads'] % 4:
    raise errors.InputError(
        'config.model.positions=rotary: needs heads whose width is a multiple of '
        f'4, not {sizes["dim"] // sizes["num_heads"]}; choose other heads'
    )
  if pool == 'cls' and not class_token:
    raise errors.InputError(
        'config.model.pool=cls: this network has no class token; choose mean'
    )
  if cudnn_attention and dtype == 'float32':
    raise errors.InputError(
        'config.model.cudnn_attention=True needs config.model.dtype=bfloat16: '
        'cuDNN has no fused attention in float32'
    )
  make = vit.ViT
  if num_frames:
    make = functools.partial(
        video_vit.VideoViT,
        num_frames=num_frames,
        tubelet_size=tubelet_size,
        span=span,
    )
  return make(
      **sizes,
      image_size=image_size,
      patch_size=patch_size,
      pool=pool,
      positions=positions,
      drop_path=drop_path,
      remat=remat,
      scan=scan,
      dtype=choices.choose(dtypes.DTYPES, dtype, 'model.dtype'),
      cudnn_attention=cudnn_attention,
      mlp_dim=mlp_dim,
      activation=activation,
      layer_scale=layer_scale,
      num_registers=num_registers,
      class_token=class_token,
      pre_norm=pre_norm,
      norm_eps=norm_eps,
      lora=_make_lora(lora_rank, lora_alpha, lora_targets, sizes['dim']),
  )


# Options of `make_vit` that a plain ViT, such as MAE's, does not have.
VIT_OPTIONS = (
    'mlp_dim', 'activation', 'layer_scale', 'num_registers', 'class_token',
    'pre_norm', 'norm_eps', 'num_frames', 'tubelet_size',
)  # fmt: skip


def vit_options(model: Mapping[str, Any]) -> list[str]:
  """Returns the keys of a `model` section that make its ViT no plain ViT."""
  if model.get('positions') == 'rotary':
    return ['rotary positions']
  return [key for key in VIT_OPTIONS if key in model]


def _make_lora(
    rank: int, alpha: float, targets: str, width: int
) -> dense.Lora | None:
  """Returns the LoRA of a ViT, None for rank 0, or raises an InputError."""
  names = choices.names(LORA_TARGETS, targets, 'model.lora_targets')
  if not rank:
    return None
  if not names:
    raise errors.InputError(
        'config.model.lora_targets: names no layer; give some of '
        f'{choices.listing(LORA_TARGETS)}, separated by commas'
    )
  if rank > width:
    raise errors.InputError(
        f'config.model.lora_rank={rank}: is more than the width of the model; '
        f'give at most {width}'
    )
  return dense.Lora(rank, alpha, tuple(sorted(names)))


def without_lora(model: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a `model` section of the same network with merged weights."""
  return {k: v for k, v in model.items() if not k.startswith('lora_')}


def lora_of(model: Mapping[str, Any]) -> dense.Lora | None:
  """Returns the LoRA of the backbone of a `model` section."""
  if not model.get('lora_rank'):
    return None
  return make_backbone(model).lora


def make_convnet(
    *, backbone: str, image_size: int, remat: str, dtype: str
) -> nn.Module:
  """Returns the convolutional backbone with the name `backbone`."""
  module, sizes = choices.choose(
      convnet_zoo.CONVNETS, backbone, 'model.backbone'
  )
  return module(
      **sizes,
      image_size=image_size,
      remat=remat,
      dtype=choices.choose(dtypes.DTYPES, dtype, 'model.dtype'),
  )


def is_convnet(model: Mapping[str, Any]) -> bool:
  """Returns whether a `model` section has a convolutional backbone."""
  return model.get('backbone') in convnet_zoo.CONVNETS


def is_video(model: Mapping[str, Any]) -> bool:
  """Returns whether the backbone of a `model` section reads windows of frames."""
  return 'num_frames' in model


def input_shape(model: Mapping[str, Any]) -> tuple[int, ...]:
  """Returns the shape of an image, or of a window of frames, for a backbone."""
  frames = (model['num_frames'],) if is_video(model) else ()
  return (*frames, model['image_size'], model['image_size'], 3)


def _backbone_maker(model: Mapping[str, Any]) -> Callable[..., nn.Module]:
  """Returns the function that builds the backbone of a `model` section."""
  return make_convnet if is_convnet(model) else make_vit


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
  wanted = _keys(_backbone_maker(model))
  keys = {k: v for k, v in model.items() if k in wanted}
  name = 'convnet' if is_convnet(model) else 'vit'
  return {'name': 'video' if is_video(model) else name} | keys


def make_backbone(model: Mapping[str, Any]) -> nn.Module:
  """Returns only the backbone of a `model` section of a config."""
  return make_model(**backbone_section(model)).backbone


# Models by name. All but `_WITHOUT_BACKBONE` have a backbone; their other fields and
# the arguments of the backbone are the keys of the `model` section.
MODELS: dict[str, Callable[..., nn.Module]] = {
    'mae': mae.MAE,
    'frame': frame_model.FrameModel,
    'identity': identity.IdentityModel,
    'temporal': temporal_zoo.make_temporal,
    'sr': super_resolution_zoo.make_super_resolution,
    'vit': classifier.Classifier,
    'convnet': classifier.Classifier,
    'video': classifier.Classifier,
    'zero_shot': classifier.Classifier,
    'lsd': functools.partial(
        classifier.Classifier,
        num_classes=len(labels.NATIVE_EXPRESSIONS['lsd']),
    ),
}
_WITHOUT_BACKBONE = ('temporal', 'sr')
_NO_KEYS = ('backbone', 'encoder', 'parent', 'name')  # fields with modules
# Allowed values of the keys of models with a backbone.
CHOICES = {
    'activation': dense.ACTIVATIONS,
    'head': identity.HEADS,
    'pool': POOLS,
    'positions': POSITIONS,
    'remat': rematerialization.POLICIES,
    'span': video_vit.SPANS,
}


def make_model(*, name: str, **section: Any) -> nn.Module:
  """Returns the model `name`, built from the other keys of its config section.

  Raises:
    InputError: if there is no such model, or keys are missing or unknown.
  """
  make = choices.choose(MODELS, name, 'model.name')
  keys, backbone_keys = _keys(make), {}
  if name not in _WITHOUT_BACKBONE:
    own = {k: v for k, v in keys.items() if k not in _NO_KEYS}
    backbone_keys = _keys(_backbone_maker(section))
    keys = own | backbone_keys
  missing = {key for key, required in keys.items() if required} - set(section)
  unknown = set(section) - set(keys)
  if missing or unknown:
    raise errors.InputError(
        f'config.model.name={name}: the keys belong to another model (missing: '
        f'{choices.listing(sorted(missing))}; unknown: '
        f'{choices.listing(sorted(unknown))}); choose another --config, '
        'and leave its model.name unchanged'
    )
  if name in _WITHOUT_BACKBONE:
    return make(**section)
  for key, allowed in CHOICES.items():
    if key in section:
      choices.choose(dict.fromkeys(allowed), section[key], f'model.{key}')
  backbone = {k: section.pop(k) for k in backbone_keys.keys() & section.keys()}
  if name == 'mae' and (options := vit_options(backbone)):
    raise errors.InputError(
        f'config.model.name=mae: its encoder has no {choices.listing(options)}; '
        'start a MAE from a plain ViT'
    )
  return make(_backbone_maker(backbone)(**backbone), **section)


def _keys(make: Callable[..., Any]) -> dict[str, bool]:
  """Returns the arguments of a function or class; True if required."""
  parameters = inspect.signature(make).parameters
  return {
      k: v.default is inspect.Parameter.empty for k, v in parameters.items()
  }
