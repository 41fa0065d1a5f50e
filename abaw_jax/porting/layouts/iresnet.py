"""State dicts of InsightFace's IResNet (`backbone.pth` of arcface_torch)."""

from collections.abc import Mapping
import math
import re
from typing import Any

import numpy as np

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts, torch_layers

_LAST_WIDTH = 512  # channels of the map that the last layer takes
_STRIDE = 16  # of that map, in pixels
_SCALE = 'features.weight'

_MODULES = {
    'stem_conv': 'conv1',
    'stem_norm': 'bn1',
    'stem_prelu': 'prelu',
    'head_norm': 'bn2',
    'head_fc': 'fc',
    'head_features': 'features',
}
_OF_BLOCK = {
    'norm1': 'bn1',
    'norm2': 'bn2',
    'norm3': 'bn3',
    'shortcut_conv': 'downsample.0',
    'shortcut_norm': 'downsample.1',
}


def describe(shapes: state_dicts.Shapes, where: str) -> dict[str, Any]:
  """Returns what names and shapes tell: `layers` and `image_size`.

  Args:
    shapes: of a tidy state dict, by name.
    where: file to name in messages.

  Raises:
    InputError: if the last layer is missing or for no square map.
  """
  _, inputs = torch_layers.sizes(shapes, where, 'fc.weight', 'd n')
  side = math.isqrt(inputs // _LAST_WIDTH)
  if not side or side * side * _LAST_WIDTH != inputs:
    raise errors.InputError(
        f'{where}: fc.weight takes {inputs} values, which are no square map of '
        f'{_LAST_WIDTH} channels; convert an IResNet of InsightFace'
    )
  stages = [f'layer{stage}' for stage in range(1, 5)]
  return {
      'name': 'convnet',
      'layers': tuple(torch_layers.depth(shapes, stage) for stage in stages),
      'image_size': side * _STRIDE,
  }


def rule_of(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule of a parameter or running statistic.

  Args:
    path: such as `backbone/stage1_0/conv1/kernel` or
      `batch_stats/backbone/stem_norm/mean`.
    model: `model` section of the config.
  """
  del model
  *modules, leaf = torch_layers.names(path)
  if modules == ['head_fc'] and leaf == 'kernel':
    return state_dicts.Rule('fc.weight', _from_fc, _to_fc)
  first, *rest = modules
  block = re.fullmatch(r'stage(\d)_(\d+)', first)
  if not block:
    return torch_layers.rule(_MODULES.get(first, first), leaf)
  layer = _OF_BLOCK.get(rest[0], rest[0])
  return torch_layers.rule(f'layer{block[1]}.{block[2]}.{layer}', leaf)


def tidy(tensors: state_dicts.Tensors, where: str) -> dict[str, np.ndarray]:
  """Returns the tensors without counters and without the scale that is 1.

  Raises:
    InputError: if the scale of the embedding is not 1.
  """
  tensors = state_dicts.without_counters(tensors, where)
  scale = tensors.pop(_SCALE, None)
  if scale is None or not np.all(scale == 1):
    found = 'is missing' if scale is None else 'is not 1 throughout'
    raise errors.InputError(
        f'{where}: {_SCALE} {found}, but InsightFace holds it at 1; convert '
        'weights that were trained so'
    )
  return tensors


def complete(tensors: state_dicts.Tensors) -> dict[str, np.ndarray]:
  """Returns the tensors with the scale that is 1."""
  return dict(tensors) | {_SCALE: np.ones_like(tensors['features.bias'])}


def _from_fc(weight: np.ndarray) -> np.ndarray:
  """Returns a kernel for maps as (row, column, channel), not channel first."""
  dim, inputs = weight.shape
  side = math.isqrt(inputs // _LAST_WIDTH)
  weight = weight.reshape(dim, _LAST_WIDTH, side, side)
  return weight.transpose(2, 3, 1, 0).reshape(inputs, dim)


def _to_fc(kernel: np.ndarray) -> np.ndarray:
  """Undoes `_from_fc`."""
  inputs, dim = kernel.shape
  side = math.isqrt(inputs // _LAST_WIDTH)
  kernel = kernel.reshape(side, side, _LAST_WIDTH, dim)
  return kernel.transpose(3, 2, 0, 1).reshape(dim, inputs)


LAYOUT = state_dicts.Layout(
    source='InsightFace IResNet',
    marks=frozenset({'fc.weight', 'features.running_mean', 'prelu.weight'}),
    describe=describe,
    rule_of=rule_of,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    resize='bilinear',
    licence=(
        'Weights released by InsightFace are for non-commercial research only, '
        'and so are the data that they were trained on. Weights of others keep '
        'the licence of their source.'
    ),
    tidy=tidy,
    complete=complete,
)
