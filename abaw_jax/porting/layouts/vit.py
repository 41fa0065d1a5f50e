"""State dicts of ViTs and MAEs of facebookresearch/mae and timm.

Three kinds: an encoder (`mae_pretrain_*`), a MAE with its decoder (`*_full`,
`mae_visualize_*`, pretraining checkpoints), and a fine-tuned ViT with its
classifier. References: facebookresearch/mae models_mae.py, models_vit.py.
"""

from collections.abc import Mapping
import math
import pathlib
import re
from typing import Any

import numpy as np

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts, torch_layers

_USUAL_SIZE = 224  # side of the images in pixels


def infer_model(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns the `model` section with `dim` and `depth` instead of `backbone`.

  It has the keys of `zoo.VIT_OPTIONS` whose values are not those of a plain ViT.
  """
  dim, _, patch, _ = torch_layers.read_shape(
      shapes, checkpoint, 'patch_embed.proj.weight', 'd 3 p p'
  )
  section = {
      'name': 'vit',
      'dim': dim,
      'depth': torch_layers.count_children(shapes, 'blocks'),
      'image_size': _image_size(shapes, checkpoint, patch),
      'patch_size': patch,
  } | _options(shapes, checkpoint, dim)
  if 'mask_token' in shapes:
    decoder_dim, _ = torch_layers.read_shape(
        shapes, checkpoint, 'decoder_embed.weight', 'e d'
    )
    return section | {
        'name': 'mae',
        'decoder_dim': decoder_dim,
        'decoder_depth': torch_layers.count_children(shapes, 'decoder_blocks'),
    }
  section |= torch_layers.count_classes(shapes, checkpoint, 'head.weight')
  if 'attn_pool.latent' in shapes:
    return section | {'pool': 'attention'}
  if section.keys() & {'layer_scale', 'pre_norm'}:
    return section | {'pool': 'cls'}
  if 'fc_norm.weight' in shapes:
    return section | {'pool': 'mean_norm'}
  return section | {'pool': 'cls' if 'num_classes' in section else 'mean'}


def _image_size(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path, patch: int
) -> int:
  """Returns the side of the images; about 224 for rotary positions."""
  if 'pos_embed' not in shapes:
    return _USUAL_SIZE // patch * patch
  _, tokens, _ = torch_layers.read_shape(
      shapes, checkpoint, 'pos_embed', '1 tokens d'
  )
  patches = tokens - ('cls_token' in shapes)
  grid = math.isqrt(patches)
  if grid * grid != patches:
    raise errors.InputError(
        f'{checkpoint}: pos_embed is for {patches} patches, which fill no '
        'square image; convert a model of square images with one cls token'
    )
  return grid * patch


def _options(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path, dim: int
) -> dict[str, Any]:
  """Returns the options that differ from those of a plain ViT."""
  options = {}
  if 'pos_embed' not in shapes:
    options |= {'positions': 'rotary', 'norm_eps': 1e-5}
  if 'cls_token' not in shapes:
    options['class_token'] = False
  if 'reg_token' in shapes:
    options['num_registers'] = shapes['reg_token'][1]
  if 'norm_pre.weight' in shapes:
    options |= {'pre_norm': True, 'norm_eps': 1e-5}
  if 'attn_pool.latent' in shapes:
    options['activation'] = 'gelu_tanh'
  if 'blocks.0.ls1.gamma' in shapes:
    options['layer_scale'] = True
  _, hidden = torch_layers.read_shape(
      shapes, checkpoint, 'blocks.0.mlp.fc2.weight', 'd hidden'
  )
  if hidden != 4 * dim:
    options['mlp_dim'] = hidden
  if shapes.get('blocks.0.mlp.fc1.weight') == (2 * hidden, dim):
    options['activation'] = 'swiglu'
  return options


def make_rule(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule for a path such as `encoder/blocks_3/attn/qkv/kernel`."""
  path = re.sub('^(encoder|backbone)/', '', path)
  path = re.sub(r'blocks_(\d+)', r'blocks/\1', path)
  *module, leaf = path.split('/')
  module = '.'.join(module)
  if module == 'patch_embed':
    module = 'patch_embed.proj'
  if module == 'norm' and model.get('pool') == 'mean_norm':
    module = 'fc_norm'
  if leaf == 'kernel' and module == 'patch_embed.proj':
    return state_dicts.Rule(f'{module}.weight', _from_conv, _to_conv)
  if leaf == 'kernel':
    return state_dicts.Rule(f'{module}.weight', np.transpose, np.transpose)
  if leaf in ('ls1', 'ls2'):
    return state_dicts.Rule(f'{module}.{leaf}.gamma', np.asarray, np.asarray)
  leaf = {'scale': 'weight'}.get(leaf, leaf)
  name = f'{module}.{leaf}' if module else leaf
  return state_dicts.Rule(name, np.asarray, np.asarray)


def _from_conv(weight: np.ndarray) -> np.ndarray:
  """Returns [p * p * 3, d], by row, column, channel, of [d, 3, p, p]."""
  return weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


def _to_conv(kernel: np.ndarray) -> np.ndarray:
  """Inverts `_from_conv`."""
  patch = math.isqrt(kernel.shape[0] // 3)
  return kernel.reshape(patch, patch, 3, -1).transpose(3, 2, 0, 1)


def canonicalize(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns the tensors; the bias of a classifier that has none, as FMAE's, is 0."""
  found = state_dicts.without_counters(tensors, checkpoint)
  if (weight := found.get('head.weight')) is not None:
    found.setdefault('head.bias', np.zeros(len(weight), weight.dtype))
  return found


LAYOUT = state_dicts.Layout(
    source='ViT of facebookresearch/mae, DeiT or timm',
    marks=frozenset({'cls_token', 'patch_embed.proj.weight'}),
    infer_model=infer_model,
    make_rule=make_rule,
    canonicalize=canonicalize,
    licence=(
        'Weights released by facebookresearch/mae are CC BY-NC 4.0: not for '
        'commercial use. Other weights keep the licence of their source and of '
        'its data.'
    ),
)
