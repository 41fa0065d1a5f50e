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


def infer_model(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns the `model` section with `dim` and `depth` instead of `backbone`."""
  dim, _, patch, _ = torch_layers.read_shape(
      shapes, checkpoint, 'patch_embed.proj.weight', 'd 3 p p'
  )
  _, tokens, _ = torch_layers.read_shape(
      shapes, checkpoint, 'pos_embed', '1 tokens d'
  )
  grid = math.isqrt(tokens - 1)
  if grid * grid != tokens - 1:
    raise errors.InputError(
        f'{checkpoint}: pos_embed is for {tokens - 1} patches, which fill no '
        'square image; convert a model of square images with one cls token'
    )
  section = {
      'name': 'vit',
      'dim': dim,
      'depth': torch_layers.count_children(shapes, 'blocks'),
      'image_size': grid * patch,
      'patch_size': patch,
  }
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
  if 'fc_norm.weight' in shapes:
    return section | {'pool': 'mean_norm'}
  return section | {'pool': 'cls' if 'num_classes' in section else 'mean'}


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


LAYOUT = state_dicts.Layout(
    source='ViT of facebookresearch/mae, DeiT or timm',
    marks=frozenset({'cls_token', 'patch_embed.proj.weight'}),
    infer_model=infer_model,
    make_rule=make_rule,
    licence=(
        'Weights released by facebookresearch/mae are CC BY-NC 4.0: not for '
        'commercial use. Other weights keep the licence of their source and of '
        'its data.'
    ),
)
