"""State dicts of torchvision's ResNets with bottlenecks (`resnet50`)."""

from collections.abc import Mapping
import re
from typing import Any

from abaw_jax.porting.layouts import state_dicts, torch_layers

_MODULES = {'stem_conv': 'conv1', 'stem_norm': 'bn1', 'head': 'fc'}
_OF_BLOCK = {
    'norm1': 'bn1',
    'norm2': 'bn2',
    'norm3': 'bn3',
    'shortcut_conv': 'downsample.0',
    'shortcut_norm': 'downsample.1',
}


def describe(shapes: state_dicts.Shapes, where: str) -> dict[str, Any]:
  """Returns what names and shapes tell, with the usual `image_size`.

  That is `layers`, `stem_width` and, if there is a classifier, `num_classes`.

  Args:
    shapes: of a tidy state dict, by name.
    where: file to name in messages.

  Raises:
    InputError: if the stem is missing or misshapen.
  """
  stem_width, *_ = torch_layers.sizes(shapes, where, 'conv1.weight', 'w 3 k k')
  stages = len({x.split('.')[0] for x in shapes if x.startswith('layer')})
  section = {
      'name': 'convnet',
      'layers': tuple(
          torch_layers.depth(shapes, f'layer{stage}')
          for stage in range(1, stages + 1)
      ),
      'stem_width': stem_width,
      'image_size': 224,
  }
  if 'fc.weight' in shapes:
    section['num_classes'], _ = torch_layers.sizes(
        shapes, where, 'fc.weight', 'k d'
    )
  return section


def rule_of(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule of a parameter or running statistic.

  Args:
    path: such as `backbone/stage1_0/conv1/kernel`, `head/bias` or
      `batch_stats/backbone/stem_norm/mean`.
    model: `model` section of the config.
  """
  del model
  first, *rest, leaf = torch_layers.names(path)
  block = re.fullmatch(r'stage(\d)_(\d+)', first)
  if not block:
    return torch_layers.rule(_MODULES[first], leaf)
  layer = _OF_BLOCK.get(rest[0], rest[0])
  return torch_layers.rule(f'layer{block[1]}.{block[2]}.{layer}', leaf)


LAYOUT = state_dicts.Layout(
    source='torchvision ResNet',
    marks=frozenset({'conv1.weight', 'layer1.0.conv3.weight'}),
    describe=describe,
    rule_of=rule_of,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    resize='bilinear',
    licence=(
        'torchvision is under BSD-3-Clause; its weights were trained on '
        'ImageNet, whose terms are for non-commercial research. Weights of '
        'others keep the licence of their source.'
    ),
)
