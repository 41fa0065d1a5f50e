"""State dicts of ViTs and MAEs as facebookresearch/mae and timm name them.

Three kinds: an encoder (`mae_pretrain_*`), a MAE with its decoder (`*_full`,
`mae_visualize_*`, checkpoints of a pretraining), and a fine-tuned ViT with its
classifier. References: facebookresearch/mae models_mae.py, models_vit.py.
"""

from collections.abc import Mapping
import math
import re
from typing import Any

import numpy as np

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts, torch_layers


def describe(shapes: state_dicts.Shapes, where: str) -> dict[str, Any]:
  """Returns what the names and shapes of a state dict tell of its model.

  That is the `model` section of a config with `dim` and `depth` for the name of
  a backbone, without numbers of heads. `where` is the file to name in messages.

  Raises:
    InputError: if a tensor that tells a size is missing or misshapen.
  """
  dim, _, patch, _ = torch_layers.sizes(
      shapes, where, 'patch_embed.proj.weight', 'd 3 p p'
  )
  _, tokens, _ = torch_layers.sizes(shapes, where, 'pos_embed', '1 tokens d')
  grid = math.isqrt(tokens - 1)
  if grid * grid != tokens - 1:
    raise errors.InputError(
        f'{where}: pos_embed is for {tokens - 1} patches, which fill no square image; '
        'convert a model of square images with one cls token'
    )
  section = {
      'name': 'vit',
      'dim': dim,
      'depth': torch_layers.depth(shapes, 'blocks'),
      'image_size': grid * patch,
      'patch_size': patch,
      'pool': 'mean',
  }
  if 'mask_token' in shapes:
    decoder_dim, _ = torch_layers.sizes(
        shapes, where, 'decoder_embed.weight', 'e d'
    )
    del section['pool']
    return section | {
        'name': 'mae',
        'decoder_dim': decoder_dim,
        'decoder_depth': torch_layers.depth(shapes, 'decoder_blocks'),
    }
  if 'head.weight' in shapes:
    section['num_classes'], _ = torch_layers.sizes(
        shapes, where, 'head.weight', 'k d'
    )
    section['pool'] = 'cls'
  if 'fc_norm.weight' in shapes:
    section['pool'] = 'mean_norm'
  return section


def rule_of(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule of a parameter of `vit` or `mae`.

  Args:
    path: such as `encoder/blocks_3/attn/qkv/kernel`.
    model: `model` section of the config.
  """
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
  """Returns [p * p * 3, d] (row, column, channel) of a kernel [d, 3, p, p]."""
  return weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


def _to_conv(kernel: np.ndarray) -> np.ndarray:
  """Undoes `_from_conv`."""
  patch = math.isqrt(kernel.shape[0] // 3)
  return kernel.reshape(patch, patch, 3, -1).transpose(3, 2, 0, 1)


LAYOUT = state_dicts.Layout(
    source='facebookresearch/mae',
    marks=frozenset({'cls_token', 'patch_embed.proj.weight'}),
    describe=describe,
    rule_of=rule_of,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    resize='bicubic',
    licence=(
        'Weights released by facebookresearch/mae are CC BY-NC 4.0: not for '
        'commercial use. Weights of others keep the licence of their source and '
        'of its data.'
    ),
)
