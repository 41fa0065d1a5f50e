"""State dicts of timm's ReXNets (`rexnet_150`), also those of HSE-NN."""

from collections.abc import Mapping
import pathlib
import re
from typing import Any

from abaw_jax.core import errors
from abaw_jax.porting.convnet_layouts import efficientnet
from abaw_jax.porting.layouts import state_dicts, torch_layers

_STEM_WIDTH = 32
_LAYERS = (1, 2, 2, 3, 3, 5)  # blocks per stage
_UNITS = {
    'stem': 'stem',
    'expand': 'conv_exp',
    'depthwise': 'conv_dw',
    'project': 'conv_pwl',
}
_GATE = {'squeeze': 'se.fc1', 'squeeze_norm': 'se.bn', 'excite': 'se.fc2'}


def infer_model(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns `factor`, the usual `image_size` and `num_classes`.

  Raises:
    InputError: if it has another number of blocks.
  """
  width, *_ = torch_layers.read_shape(
      shapes, checkpoint, 'stem.conv.weight', 'w 3 k k'
  )
  count = torch_layers.count_children(shapes, 'features')
  if count != sum(_LAYERS) + 1:
    raise errors.InputError(
        f'{checkpoint}: has {count} children in features, a ReXNet of timm has '
        f'{sum(_LAYERS) + 1}; convert rexnet_100, 130, 150 or 200'
    )
  return {
      'name': 'convnet',
      # timm rounds widths, but factors have two digits.
      'factor': round(width / _STEM_WIDTH, 1),
      'image_size': 224,
  } | torch_layers.count_classes(shapes, checkpoint, 'head.fc.weight')


def make_rule(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule for a parameter or running statistic."""
  del model
  first, *rest, leaf = torch_layers.split_path(path)
  if first == 'head':
    return torch_layers.make_rule('head.fc', leaf)
  block = re.fullmatch(r'stage(\d)_(\d+)', first)
  if not block:
    units = _UNITS | {'head': f'features.{sum(_LAYERS)}'}
    return torch_layers.make_rule(torch_layers.unit_layer(first, units), leaf)
  index = sum(_LAYERS[: int(block[1]) - 1]) + int(block[2])
  layer = _GATE.get(rest[0]) or torch_layers.unit_layer(rest[0], _UNITS)
  return torch_layers.make_rule(f'features.{index}.{layer}', leaf)


LAYOUT = state_dicts.Layout(
    source='timm ReXNet, HSE-NN',
    marks=frozenset({'stem.conv.weight', 'features.0.conv_dw.conv.weight'}),
    infer_model=infer_model,
    make_rule=make_rule,
    licence=efficientnet.LAYOUT.licence,
    preprocessing='imagenet',
    labels=efficientnet.LABELS,
    label_preprocessing='emotiefflib',
)
