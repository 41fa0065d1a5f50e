"""State dicts of DenseNets: torchvision's and timm's, and AIM3's for grey faces.

AIM3's network has torchvision's names, but a stem of one convolution for one
channel, and a last norm that bears the number of its stages.
"""

from collections.abc import Mapping
import functools
import re
from typing import Any

import numpy as np

from abaw_jax.porting.layouts import state_dicts, torch_layers

_MODULES = {
    'stem_conv': 'features.conv0',
    'stem_norm': 'features.norm0',
    'head': 'classifier',
}
_GREY_MEAN = 131.0754 / 255
_GREY_STD = 47.858177 / 255


def describe(shapes: state_dicts.Shapes, where: str) -> dict[str, Any]:
  """Returns what names and shapes tell, with the usual `image_size`.

  That is `layers`, `growth`, `stem_width`, `grey` and, if there is a classifier,
  `num_classes`.

  Args:
    shapes: of a tidy state dict, by name.
    where: file to name in messages.

  Raises:
    InputError: if a tensor that tells a size is missing or misshapen.
  """
  stem_width, colours, *_ = torch_layers.sizes(
      shapes, where, 'features.conv0.weight', 'out in h w'
  )
  growth, *_ = torch_layers.sizes(
      shapes,
      where,
      'features.denseblock1.denselayer1.conv2.weight',
      'out in h w',
  )
  section = {
      'name': 'convnet',
      'layers': tuple(
          torch_layers.depth(shapes, f'features.denseblock{i}')
          for i in range(1, _stages(shapes) + 1)
      ),
      'growth': growth,
      'stem_width': stem_width,
      'grey': colours == 1,
      'image_size': 64 if colours == 1 else 224,
  }
  if 'classifier.weight' in shapes:
    section['num_classes'], _ = torch_layers.sizes(
        shapes, where, 'classifier.weight', 'k d'
    )
  return section


def rule_of(
    path: str, model: Mapping[str, Any], *, last_norm: str
) -> state_dicts.Rule:
  """Returns the rule of a parameter or running statistic.

  Args:
    path: such as `backbone/stage1_0/conv1/kernel`, `head/bias` or
      `batch_stats/backbone/stem_norm/mean`.
    model: `model` section of the config.
    last_norm: name there of the norm behind the last stage.
  """
  del model
  first, *rest, leaf = torch_layers.names(path)
  module = _MODULES.get(first, first)
  if part := re.fullmatch(r'stage(\d+)_(\w+)', first):
    stage, name = part.groups()
    if name == 'norm':
      module = f'features.{last_norm}'
    elif name == 'transition':
      module = f'features.transition{stage}'
    else:
      module = f'features.denseblock{stage}.denselayer{int(name) + 1}'
  return torch_layers.rule('.'.join((module, *rest)), leaf)


def tidy(tensors: state_dicts.Tensors, where: str) -> dict[str, np.ndarray]:
  """Returns the tensors under present names, without counters.

  The files that torchvision still hands out call `norm1` of a layer `norm.1`.
  """
  tensors = state_dicts.without_counters(tensors, where)
  return {
      re.sub(r'(denselayer\d+\.(?:norm|conv))\.(\d)\.', r'\1\2.', name): value
      for name, value in tensors.items()
  }


def _stages(shapes: state_dicts.Shapes) -> int:
  """Returns how many dense blocks there are."""
  found = (re.match(r'features\.denseblock(\d+)\.', x) for x in shapes)
  return len({match[1] for match in found if match})


LAYOUT = state_dicts.Layout(
    source='torchvision DenseNet',
    marks=frozenset({'features.norm0.weight', 'features.norm5.weight'}),
    describe=describe,
    rule_of=functools.partial(rule_of, last_norm='norm5'),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    resize='bilinear',
    licence=(
        'torchvision is under BSD-3-Clause and timm under Apache-2.0; their '
        'weights were trained on ImageNet, whose terms are for non-commercial '
        'research. Weights of others keep the licence of their source.'
    ),
    tidy=tidy,
)
# AIM3's own code of this network takes FER+ in this order of its votes.
GREY_LAYOUT = LAYOUT._replace(
    source='AIM3 DenseNet for grey faces',
    marks=frozenset({'features.conv0.weight', 'features.norm3.weight'}),
    rule_of=functools.partial(rule_of, last_norm='norm3'),
    mean=(_GREY_MEAN,) * 3,
    std=(_GREY_STD,) * 3,
    licence=(
        'AIM3 gives no licence for its weights, and FER+ and AffectNet, on which '
        'they were trained, are for research only: ask the authors.'
    ),
    labels={
        8: (
            'Neutral',
            'Happiness',
            'Surprise',
            'Sadness',
            'Anger',
            'Disgust',
            'Fear',
            'Contempt',
        )
    },
)
