"""State dicts of MobileFaceNets and of DDAMFN++.

`mbf` is the network of InsightFace (arcface_torch) and, with a classifier `fc`, of
HSE-NN (EmotiEffLib's `mbf_va_mtl`), a pickled module. `mobilefacenet` is that of
InsightFace_Pytorch and face.evoLVe. DDAMFN++ keeps the names of the latter, but
numbers its stages.
"""

from collections.abc import Mapping
import functools
import pathlib
import re
from typing import Any, NamedTuple

import numpy as np

from abaw_jax.porting.convnet_layouts import efficientnet
from abaw_jax.porting.layouts import state_dicts, torch_layers

_STEM_WIDTH = 64
_STRIDE = 16  # pixels per position of the last map


class Names(NamedTuple):
  """A project's names of modules, by our names."""

  outside: Mapping[str, str]  # outside of blocks
  first: str  # first block of a stage, with the stage's number
  others: str  # other blocks, with the stage's and the block's number
  inside: Mapping[str, str]  # inside blocks
  layers: Mapping[str, str]  # convolution, norm and PReLU of a unit


_EVOLVE = Names(
    outside={
        'stem': 'conv1',
        'stem_depthwise': 'conv2_dw',
        'head': 'conv_6_sep',
        'head_depthwise': 'conv_6_dw',
        'head_fc': 'linear',
        'head_features': 'bn',
    },
    first='conv_{0}{1}',
    others='conv_{1}.model.{2}',
    inside={'expand': 'conv', 'depthwise': 'conv_dw', 'project': 'project'},
    layers={'conv': 'conv', 'norm': 'bn', 'prelu': 'prelu'},
)
_INSIGHTFACE = Names(
    outside={
        'stem': 'layers.0',
        'stem_depthwise': 'layers.1',
        'head': 'conv_sep',
        'head_depthwise': 'features.layers.0',
        'head_fc': 'features.layers.2',
        'head_features': 'features.layers.3',
    },
    first='layers.{3}',
    others='layers.{4}.layers.{2}',
    inside={
        'expand': 'layers.0',
        'depthwise': 'layers.1',
        'project': 'layers.2',
    },
    layers={'conv': 'layers.0', 'norm': 'layers.1', 'prelu': 'layers.2'},
)
_DDAMFN = _EVOLVE._replace(
    outside={
        'stem': 'features.0',
        'stem_depthwise': 'features.1',
        'head': 'features.8',
        'head_depthwise': 'Linear',
    },
    first='features.{3}',
    others='features.{4}.model.{2}',
)
# Layers of a coordinate attention.
_ATTENTION = {
    'rows_conv': 'Linear_h.conv',
    'rows_norm': 'Linear_h.bn',
    'columns_conv': 'Linear_w.conv',
    'columns_norm': 'Linear_w.bn',
    'squeeze': 'conv1',
    'squeeze_norm': 'bn1',
    'excite_rows': 'conv2',
    'excite_columns': 'conv3',
}
# Modules that DDAMFN++'s forward pass does not use.
_UNUSED = re.compile(
    r'(.*\.conv_dw\.(bn|prelu)|.*\.CoordAtt\.Linear\..*|bn)\.\w+$'
)


def infer_model(
    shapes: state_dicts.Shapes,
    checkpoint: pathlib.Path,
    *,
    names: Names,
) -> dict[str, Any]:
  """Returns `layers`, `scale` or `num_heads`, `image_size` and `num_classes`."""
  stem, last = (
      f'{names.outside[unit]}.{names.layers["conv"]}.weight'
      for unit in ('stem', 'head_depthwise')
  )
  width, *_ = torch_layers.read_shape(shapes, checkpoint, stem, 'w 3 k k')
  *_, side = torch_layers.read_shape(shapes, checkpoint, last, 'w 1 s s')
  model = {
      'name': 'convnet',
      'layers': tuple(
          1
          + torch_layers.count_children(
              shapes, _block_name(names, stage, 1).rpartition('.')[0]
          )
          for stage in (1, 2, 3)
      ),
      'image_size': side * _STRIDE,
  }
  heads = {name.split('.')[0] for name in shapes if name.startswith('cat_head')}
  if heads:
    model['num_heads'] = len(heads)
  else:
    model['scale'] = width // _STEM_WIDTH
  return model | torch_layers.count_classes(shapes, checkpoint, 'fc.weight')


def make_rule(
    path: str, model: Mapping[str, Any], *, names: Names
) -> state_dicts.Rule:
  """Returns the rule for a parameter or running statistic.

  Args:
    path: see `Layout.make_rule`.
    model: not used.
    names: the project's names.
  """
  del model
  first, *rest, leaf = torch_layers.split_path(path)
  if first == 'head':
    return torch_layers.make_rule('fc', leaf)
  if first in names.outside:
    return torch_layers.make_rule(names.outside[first], leaf)
  if head := re.fullmatch(r'head_attention_(\d)', first):
    module = f'cat_head{head[1]}.CoordAtt.{_ATTENTION[rest[0]]}'
    return torch_layers.make_rule(module, leaf)
  block = re.fullmatch(r'stage(\d)_(\d+)', first)
  if not block:
    return torch_layers.make_rule(_layer(first, names.outside, names), leaf)
  module = _block_name(names, int(block[1]), int(block[2]))
  if rest[0] == 'attention':
    layer = f'CA.{_ATTENTION[rest[1]]}'
  elif kernel := re.fullmatch(r'depthwise_(\d)', rest[0]):
    layer = f'conv_dw.mixed_depthwise_conv.{kernel[1]}'
  else:
    layer = _layer(rest[0], names.inside, names)
  return torch_layers.make_rule(f'{module}.{layer}', leaf)


def _block_name(names: Names, stage: int, i: int) -> str:
  """Returns the project's name of a block."""
  pattern = names.others if i else names.first
  # The first block is between two stages, such as `conv_23`.
  numbers = stage + 1, stage + 2, i - 1, 2 * stage, 2 * stage + 1
  return pattern.format(*numbers)


def _layer(name: str, modules: Mapping[str, str], names: Names) -> str:
  unit, kind = name.rsplit('_', 1)
  return f'{modules[unit]}.{names.layers[kind]}'


def _without_unused(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns the tensors that the forward pass of DDAMFN++ uses."""
  tensors = state_dicts.without_counters(tensors, checkpoint)
  return {k: value for k, value in tensors.items() if not _UNUSED.match(k)}


def _with_unused(tensors: state_dicts.Tensors) -> dict[str, np.ndarray]:
  """Inverts `_without_unused`, with the initial values of unused modules."""
  added = {}
  side = tensors['Linear.conv.weight'].shape[-1]
  for name, value in tensors.items():
    if name == 'fc.bias':
      added |= _norm('bn', len(value))
    if name.endswith('.CA.conv3.bias'):
      module = name.replace('.CA.conv3.bias', '.conv_dw')
      added |= _norm(f'{module}.bn', len(value))
      added[f'{module}.prelu.weight'] = np.full_like(value, 0.25)
    if name.endswith('.CoordAtt.conv3.bias'):
      module = name.replace('.conv3.bias', '.Linear')
      added |= _norm(f'{module}.bn', len(value))
      shape = len(value), 1, side, side
      added[f'{module}.conv.weight'] = np.zeros(shape, value.dtype)
  return dict(tensors) | added


def _norm(module: str, width: int) -> dict[str, np.ndarray]:
  """Returns the tensors of a batch normalisation at the start of training."""
  ones, zeros = (f(width, np.float32) for f in (np.ones, np.zeros))
  leaves = {'weight': ones, 'bias': zeros}
  leaves |= {'running_mean': zeros, 'running_var': ones}
  return {f'{module}.{leaf}': value for leaf, value in leaves.items()}


def _layout(names: Names, **fields: Any) -> state_dicts.Layout:
  return state_dicts.Layout(
      infer_model=functools.partial(infer_model, names=names),
      make_rule=functools.partial(make_rule, names=names),
      **fields,
  )


MBF_LAYOUT = _layout(
    _INSIGHTFACE,
    source='InsightFace MobileFaceNet, HSE-NN',
    marks=frozenset({'layers.0.layers.0.weight', 'conv_sep.layers.0.weight'}),
    licence=(
        'Weights released by InsightFace and their training data are for '
        'non-commercial research only. EmotiEffLib is under Apache-2.0; the terms '
        'of AffectNet are for non-commercial research. Other weights keep the '
        'licence of their source.'
    ),
    preprocessing='insightface',
    labels=efficientnet.LABELS,
    label_preprocessing='emotiefflib_mbf',
)
LAYOUT = _layout(
    _EVOLVE,
    source='InsightFace_Pytorch and face.evoLVe MobileFaceNet',
    marks=frozenset({'conv_6_sep.conv.weight', 'conv_6_dw.conv.weight'}),
    licence=(
        'InsightFace_Pytorch and face.evoLVe are under the MIT licence; their '
        'training data are for non-commercial research. Other weights keep the '
        'licence of their source.'
    ),
    preprocessing='insightface',
)
DDAMFN_LAYOUT = _layout(
    _DDAMFN,
    source='DDAMFN++',
    marks=frozenset({'Linear.conv.weight', 'cat_head0.CoordAtt.conv1.weight'}),
    licence=(
        'DDAMFN gives no licence for its weights, and AffectNet, RAF-DB and '
        'MS-Celeb-1M, their training data, are for non-commercial research: ask '
        'the authors.'
    ),
    preprocessing='ddamfn',
    # The published network with 8 outputs; those with 7 differ in their order.
    labels={
        8: (
            'Neutral', 'Happiness', 'Sadness', 'Surprise', 'Fear', 'Disgust',
            'Anger', 'Contempt',
        )
    },
    canonicalize=_without_unused,
    export=_with_unused,
)  # fmt: skip
