"""State dicts of ConvNeXt-V2 of timm and facebookresearch/ConvNeXt-V2.

`canonicalize` gives timm's names to the files of facebookresearch.
"""

from collections.abc import Mapping
import pathlib
import re
from typing import Any

import numpy as np

from abaw_jax.porting.layouts import state_dicts, torch_layers

_MODULES = {
    'stem_conv': 'stem.0',
    'stem_norm': 'stem.1',
    'head_norm': 'head.norm',
    'head': 'head.fc',
}
_BLOCK = {
    'depthwise_conv': 'conv_dw',
    'norm': 'norm',
    'fc1': 'mlp.fc1',
    'grn': 'mlp.grn',
    'fc2': 'mlp.fc2',
}
_DOWNSAMPLE = {'downsample_norm': '0', 'downsample_conv': '1'}
# timm's networks of these widths have 1 x 1 convolutions in place of dense layers.
_WIDTHS_WITH_CONVOLUTIONS = (40, 48, 64, 80)
# Names of facebookresearch, and timm's.
_RENAMES = (
    (r'^downsample_layers\.0\.', 'stem.'),
    (r'^downsample_layers\.(\d)\.', r'stages.\1.downsample.'),
    (r'^stages\.(\d)\.(\d+)\.', r'stages.\1.blocks.\2.'),
    (r'\.dwconv\.', '.conv_dw.'),
    (r'\.pwconv([12])\.', r'.mlp.fc\1.'),
    (r'\.grn\.gamma$', '.mlp.grn.weight'),
    (r'\.grn\.beta$', '.mlp.grn.bias'),
    (r'^norm\.', 'head.norm.'),
    (r'^head\.(weight|bias)$', r'head.fc.\1'),
)


def canonicalize(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns the tensors with timm's names; 1 x 1 convolutions are matrices."""
  del checkpoint
  canonical = {}
  for name, value in tensors.items():
    for pattern, new in _RENAMES:
      name = re.sub(pattern, new, name)
    if re.search(r'\.mlp\.fc[12]\.weight$', name) and value.ndim == 4:
      value = value.reshape(value.shape[:2])
    if '.mlp.grn.' in name:
      value = value.reshape(-1)
    canonical[name] = value
  return canonical


def export(tensors: state_dicts.Tensors) -> dict[str, np.ndarray]:
  """Returns the tensors with the shapes of timm's network of this size."""
  if len(tensors['stem.0.bias']) not in _WIDTHS_WITH_CONVOLUTIONS:
    return dict(tensors)
  return {
      name: value[:, :, None, None]
      if re.search(r'\.mlp\.fc[12]\.weight$', name)
      else value
      for name, value in tensors.items()
  }


def infer_model(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns `layers`, `stem_width`, the usual `image_size` and `num_classes`."""
  stem_width, *_ = torch_layers.read_shape(
      shapes, checkpoint, 'stem.0.weight', 'w 3 k k'
  )
  stages = torch_layers.count_children(shapes, 'stages')
  return {
      'name': 'convnet',
      'layers': tuple(
          torch_layers.count_children(shapes, f'stages.{stage}.blocks')
          for stage in range(stages)
      ),
      'stem_width': stem_width,
      'image_size': 224,
  } | torch_layers.count_classes(shapes, checkpoint, 'head.fc.weight')


def make_rule(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule for a parameter."""
  del model
  first, *rest, leaf = torch_layers.split_path(path)
  block = re.fullmatch(r'stage(\d)_(\d+)', first)
  if not block:
    return torch_layers.make_rule(_MODULES[first], leaf)
  stage = f'stages.{int(block[1]) - 1}'
  if rest[0] in _DOWNSAMPLE:
    module = f'{stage}.downsample.{_DOWNSAMPLE[rest[0]]}'
  else:
    module = f'{stage}.blocks.{block[2]}.{_BLOCK[rest[0]]}'
  return torch_layers.make_rule(module, leaf)


_LICENCE = (
    'facebookresearch/ConvNeXt-V2 releases its weights under CC BY-NC 4.0: not '
    'for commercial use. Other weights keep the licence of their source.'
)
LAYOUT = state_dicts.Layout(
    source='timm ConvNeXt-V2',
    marks=frozenset({'stem.0.weight', 'stages.0.blocks.0.mlp.grn.weight'}),
    infer_model=infer_model,
    make_rule=make_rule,
    licence=_LICENCE,
    preprocessing='imagenet',
    canonicalize=canonicalize,
    export=export,
)
FACEBOOK_LAYOUT = LAYOUT._replace(
    source='facebookresearch ConvNeXt-V2',
    marks=frozenset({'downsample_layers.0.0.weight', 'stages.0.0.grn.gamma'}),
)
