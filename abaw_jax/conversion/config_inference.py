"""Infers the `model` section of a config from another project's file."""

from collections.abc import Mapping
import pathlib
from typing import Any

from abaw_jax.core import errors
from abaw_jax.models import convnet_zoo, zoo

# Numbers of heads of the published models by width; no shape shows them.
HEADS = {row['dim']: row['num_heads'] for row in zoo.VITS.values()} | {
    1152: 16,  # SigLIP so400m
    1408: 16,  # CLIP g
    1536: 24,  # DINOv2 g
    1664: 16,  # CLIP bigG
    4096: 32,  # DINOv3 7B
}
_ROTARY_HEADS = HEADS | {1280: 20}  # DINOv3 H+
DECODER_HEADS = {512: 16}


def complete_model(
    inferred: Mapping[str, Any],
    checkpoint: pathlib.Path,
    **options: int | bool | str | None,
) -> dict[str, Any]:
  """Returns the `model` section; options are those of `import_weights`."""
  if 'patch_size' not in inferred:
    return complete_convnet(inferred, checkpoint, **options)
  del options['activation']  # `inferred` has it
  return complete_vit(inferred, checkpoint, **options)


def complete_super_resolution(
    inferred: Mapping[str, Any],
    checkpoint: pathlib.Path,
    *,
    arch: str | None,
    **options: Any,
) -> dict[str, Any]:
  """Returns the `model` section of a network that enlarges images.

  Args:
    inferred: result of `Layout.infer_model`.
    checkpoint: file to name in messages.
    arch: network that the user expects; None accepts any.
    **options: options of other networks, which must be None.

  Raises:
    InputError: the file has another network, or another option is given.
  """
  _refuse(options, 'other networks', 'a super-resolution network', checkpoint)
  if arch not in (None, inferred['network']):
    raise errors.InputError(
        f'--arch={arch}: {checkpoint} has {inferred["network"]}; omit --arch to '
        'convert it'
    )
  return dict(inferred) | {'dtype': 'float32'}


def complete_vit(
    inferred: Mapping[str, Any],
    checkpoint: pathlib.Path,
    *,
    num_heads: int | None,
    decoder_num_heads: int | None,
    norm_pix: bool | None,
) -> dict[str, Any]:
  """Returns the `model` section of a ViT or MAE.

  Args:
    inferred: result of `Layout.infer_model`.
    checkpoint: file to name in messages.
    num_heads: attention heads; None uses the usual number for the width.
    decoder_num_heads: attention heads of a MAE's decoder; None as `num_heads`.
    norm_pix: whether a MAE was trained on normalised patches; not None for a
      MAE.

  Raises:
    InputError: nothing says the number of heads, or an option of MAEs is given for a
      network without a decoder.
  """
  model = dict(inferred)
  sizes = {key: model.pop(key) for key in ('dim', 'depth')}
  positions = model.get('positions', 'sincos')
  usual = _ROTARY_HEADS if positions == 'rotary' else HEADS
  sizes['num_heads'] = _heads(
      num_heads, usual, sizes['dim'], 'num_heads', checkpoint
  )
  names = [name for name, row in zoo.VITS.items() if row == sizes]
  model |= {'backbone': names[0]} if names else {'backbone': '', **sizes}
  model |= {
      'positions': positions,
      'drop_path': 0.0,
      'dtype': 'float32',
      'remat': 'none',
      'scan': False,
  }
  if 'decoder_dim' not in model:
    options = {'decoder_num_heads': decoder_num_heads, 'norm_pix': norm_pix}
    _refuse(options, 'MAEs', 'a network without a decoder', checkpoint)
    return model
  heads = _heads(
      decoder_num_heads,
      DECODER_HEADS,
      model['decoder_dim'],
      'decoder_num_heads',
      checkpoint,
  )
  return model | {
      'decoder_num_heads': heads,
      'mask_ratio': 0.75,
      'norm_pix': norm_pix,
  }


def complete_window(
    inferred: Mapping[str, Any],
    facts: Mapping[str, Any],
    checkpoint: pathlib.Path,
) -> dict[str, Any]:
  """Returns the sizes of a video network with its number of frames and image size.

  Args:
    inferred: result of `Layout.infer_model`.
    facts: facts about the file, see `identification`.
    checkpoint: file to name in messages.

  Raises:
    InputError: tubelets do not fill the window, or patches the image.
  """
  model = dict(inferred)
  if not zoo.is_video(model):
    return model
  sizes = {'num_frames': 'num_frames', 'image_size': 'input_size'}
  for key, fact in sizes.items():
    if isinstance(facts.get(fact), int):
      model[key] = facts[fact]
  parts = {'num_frames': 'tubelet_size', 'image_size': 'patch_size'}
  for key, part in parts.items():
    if model[key] % model[part]:
      raise errors.InputError(
          f'{checkpoint}: {key} {model[key]} is no multiple of {part} '
          f'{model[part]}; restore the config.json next to the file'
      )
  return model


def complete_convnet(
    inferred: Mapping[str, Any],
    checkpoint: pathlib.Path,
    **options: int | bool | None,
) -> dict[str, Any]:
  """Returns the `model` section of a convolutional network.

  Args:
    inferred: result of `Layout.infer_model`.
    checkpoint: file to name in messages.
    **options: options of ViTs, which must be None.

  Raises:
    InputError: if no network has these sizes, or an option of ViTs is given.
  """
  _refuse(options, 'ViTs', 'a convolutional network', checkpoint)
  model = dict(inferred)
  kept = {
      key: model.pop(key)
      for key in ('name', 'image_size', 'num_classes')
      if key in model
  }
  names = [
      name
      for name, (_, sizes) in convnet_zoo.CONVNETS.items()
      if sizes == model
  ]
  if not names:
    raise errors.InputError(
        f'{checkpoint}: no network has these sizes ({model}); convert one of '
        f'{", ".join(convnet_zoo.CONVNETS)}'
    )
  return kept | {'backbone': names[0], 'remat': 'none', 'dtype': 'float32'}


def _refuse(
    options: Mapping[str, Any],
    others: str,
    found: str,
    checkpoint: pathlib.Path,
) -> None:
  """Raises an InputError if an option of other networks is given."""
  for name, value in options.items():
    if value is not None:
      raise errors.InputError(
          f'--{name}={value}: is for {others}, but {checkpoint} has {found}; '
          'omit the flag'
      )


def _heads(
    heads: int | None,
    usual: Mapping[int, int],
    dim: int,
    flag: str,
    checkpoint: pathlib.Path,
) -> int:
  """Returns the given or usual number of heads, or raises an InputError."""
  heads = heads or usual.get(dim)
  if heads is None:
    raise errors.InputError(
        f'{checkpoint}: the number of heads is unknown for a width of {dim}, '
        f'and no shape shows it; give --{flag}'
    )
  # Each of the four sine-cosine codes has a quarter of the channels.
  if dim % heads or dim % 4:
    raise errors.InputError(
        f'{checkpoint}: a width of {dim} is no multiple of --{flag}={heads} and '
        'of 4; give the number of heads in training'
    )
  return heads
