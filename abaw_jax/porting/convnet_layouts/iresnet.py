"""State dicts of InsightFace's IResNet (`backbone.pth` of arcface_torch)."""

from collections.abc import Mapping
import math
import pathlib
from typing import Any

import numpy as np

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts, torch_layers

_LAST_WIDTH = 512  # channels of the input of the last layer
_STRIDE = 16  # pixels per position of that input
_SCALE = 'features.weight'

_MODULES = {
    'stem_conv': 'conv1',
    'stem_norm': 'bn1',
    'stem_prelu': 'prelu',
    'head_norm': 'bn2',
    'head_fc': 'fc',
    'head_features': 'features',
}


def infer_model(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns `layers` and `image_size`."""
  _, inputs = torch_layers.read_shape(shapes, checkpoint, 'fc.weight', 'd n')
  side = math.isqrt(inputs // _LAST_WIDTH)
  if not side or side * side * _LAST_WIDTH != inputs:
    raise errors.InputError(
        f'{checkpoint}: fc.weight takes {inputs} values, which are no square '
        f'map of {_LAST_WIDTH} channels; convert an IResNet of InsightFace'
    )
  return {
      'name': 'convnet',
      'layers': torch_layers.count_blocks(shapes, 'layer'),
      'image_size': side * _STRIDE,
  }


def make_rule(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule for a parameter or running statistic."""
  if torch_layers.split_path(path) == ['head_fc', 'kernel']:
    return state_dicts.Rule('fc.weight', _from_fc, _to_fc)
  return torch_layers.make_residual_rule(path, model, modules=_MODULES)


def canonicalize(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns the tensors without counters and without the scale, which is 1.

  Raises:
    InputError: if the scale of the embedding is not 1.
  """
  tensors = state_dicts.without_counters(tensors, checkpoint)
  scale = tensors.pop(_SCALE, None)
  if scale is None or not np.all(scale == 1):
    found = 'is missing' if scale is None else 'is not 1 everywhere'
    raise errors.InputError(
        f'{checkpoint}: {_SCALE} {found}, but InsightFace keeps it at 1; '
        'convert weights that were trained that way'
    )
  return tensors


def export(tensors: state_dicts.Tensors) -> dict[str, np.ndarray]:
  """Returns the tensors with the scale, which is 1."""
  return dict(tensors) | {_SCALE: np.ones_like(tensors['features.bias'])}


def _from_fc(weight: np.ndarray) -> np.ndarray:
  """Returns a kernel for maps with the channel last instead of first."""
  dim, inputs = weight.shape
  side = math.isqrt(inputs // _LAST_WIDTH)
  weight = weight.reshape(dim, _LAST_WIDTH, side, side)
  return weight.transpose(2, 3, 1, 0).reshape(inputs, dim)


def _to_fc(kernel: np.ndarray) -> np.ndarray:
  """Inverts `_from_fc`."""
  inputs, dim = kernel.shape
  side = math.isqrt(inputs // _LAST_WIDTH)
  kernel = kernel.reshape(side, side, _LAST_WIDTH, dim)
  return kernel.transpose(3, 2, 0, 1).reshape(dim, inputs)


LAYOUT = state_dicts.Layout(
    source='InsightFace IResNet',
    marks=frozenset({'fc.weight', 'features.running_mean', 'prelu.weight'}),
    infer_model=infer_model,
    make_rule=make_rule,
    licence=(
        'Weights released by InsightFace and their training data are for '
        'non-commercial research only. Other weights keep the licence of their '
        'source.'
    ),
    preprocessing='insightface',
    canonicalize=canonicalize,
    export=export,
)
