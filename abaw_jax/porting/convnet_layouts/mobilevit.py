"""State dicts of timm's MobileViTs and MobileViT-V2s, also those of HSE-NN.

HSE-NN (EmotiEffLib) publishes `mobilevit_va_mtl`, a pickled `mobilevitv2_150`.
"""

from collections.abc import Mapping
import pathlib
import re
from typing import Any

from abaw_jax.porting.convnet_layouts import efficientnet
from abaw_jax.porting.layouts import state_dicts, torch_layers

_STAGES = 5
_UNITS = {
    'stem': 'stem',
    'head': 'final_conv',
    'expand': 'conv1_1x1',
    'depthwise': 'conv2_kxk',
    'project': 'conv3_1x1',
    'local': 'conv_kxk',
    'merge': 'conv_proj',
    'fuse': 'conv_fusion',
}
_INSIDE = {'lift': 'conv_1x1', 'norm': 'norm'}
# Layers of the transformer blocks of MobileViT-V2.
_SEPARABLE = {
    'norm1': 'norm1',
    'qkv_proj': 'attn.qkv_proj',
    'out_proj': 'attn.out_proj',
    'norm2': 'norm2',
    'fc1': 'mlp.fc1',
    'fc2': 'mlp.fc2',
}


def infer_model(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns sizes, the usual `image_size` and `num_classes`."""

  def read(name, axes='out in h w'):
    return torch_layers.read_shape(shapes, checkpoint, f'{name}.weight', axes)

  inner, width, *_ = read('stages.0.0.conv1_1x1.conv')
  classes = torch_layers.count_classes(shapes, checkpoint, 'head.fc.weight')
  head = 'final_conv.conv'
  return {
      'name': 'convnet',
      'stem_width': width,
      'layers': tuple(
          torch_layers.count_children(shapes, f'stages.{stage}')
          for stage in range(_STAGES)
      ),
      'widths': tuple(
          read(f'stages.{stage}.0.conv3_1x1.conv')[0]
          for stage in range(_STAGES)
      ),
      'expand': inner // width,
      'dims': tuple(
          read(f'stages.{stage}.1.conv_1x1')[0] for stage in (2, 3, 4)
      ),
      'head_width': read(head)[0] if f'{head}.weight' in shapes else 0,
      'separable': ('stages.2.1.transformer.0.attn.qkv_proj.weight' in shapes),
      # HSE-NN's networks read smaller images.
      'image_size': (
          224 if classes.get('num_classes') in efficientnet.LABELS else 256
      ),
  } | classes


def make_rule(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule for a parameter or running statistic."""
  del model
  first, *rest, leaf = torch_layers.split_path(path)
  if first == 'head':
    return torch_layers.make_rule('head.fc', leaf)
  block = re.fullmatch(r'stage(\d)_(\d+)', first)
  if not block:
    return torch_layers.make_rule(torch_layers.unit_layer(first, _UNITS), leaf)
  if inner := re.fullmatch(r'transformer_(\d)', rest[0]):
    layer = '.'.join(rest[1:])
    layer = f'transformer.{inner[1]}.{_SEPARABLE.get(layer, layer)}'
  else:
    layer = _INSIDE.get(rest[0]) or torch_layers.unit_layer(rest[0], _UNITS)
  module = f'stages.{int(block[1]) - 1}.{block[2]}'
  return torch_layers.make_rule(f'{module}.{layer}', leaf)


LAYOUT = state_dicts.Layout(
    source='timm MobileViT, HSE-NN',
    marks=frozenset({'stem.conv.weight', 'stages.0.0.conv1_1x1.conv.weight'}),
    infer_model=infer_model,
    make_rule=make_rule,
    licence=(
        'Weights of Apple are under the licence of ml-cvnets. EmotiEffLib is '
        'under Apache-2.0; the terms of AffectNet are for non-commercial '
        'research. Other weights keep the licence of their source.'
    ),
    preprocessing='cvnets',
    labels=efficientnet.LABELS,
    label_preprocessing='emotiefflib',
)
