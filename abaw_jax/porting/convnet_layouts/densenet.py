"""State dicts of DenseNets: torchvision's, timm's, and AIM3's for grey faces.

AIM3's network has torchvision's names, but its stem is one convolution on one
channel, and the name of its last norm ends in the number of its stages.
"""

from collections.abc import Mapping
import functools
import pathlib
import re
from typing import Any

import numpy as np

from abaw_jax.porting.layouts import state_dicts, torch_layers

_MODULES = {
    'stem_conv': 'features.conv0',
    'stem_norm': 'features.norm0',
    'head': 'classifier',
}


def infer_model(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns sizes, `grey`, the usual `image_size` and `num_classes`."""
  stem_width, channels, *_ = torch_layers.read_shape(
      shapes, checkpoint, 'features.conv0.weight', 'out in h w'
  )
  growth, *_ = torch_layers.read_shape(
      shapes,
      checkpoint,
      'features.denseblock1.denselayer1.conv2.weight',
      'out in h w',
  )
  return {
      'name': 'convnet',
      'layers': torch_layers.count_blocks(shapes, 'features.denseblock'),
      'growth': growth,
      'stem_width': stem_width,
      'grey': channels == 1,
      'image_size': 64 if channels == 1 else 224,
  } | torch_layers.count_classes(shapes, checkpoint, 'classifier.weight')


def make_rule(
    path: str, model: Mapping[str, Any], *, last_norm: str
) -> state_dicts.Rule:
  """Returns the rule for a parameter or running statistic.

  Args:
    path: see `Layout.make_rule`.
    model: not used.
    last_norm: the project's name of the norm after the last stage.
  """
  del model
  first, *rest, leaf = torch_layers.split_path(path)
  module = _MODULES.get(first, first)
  if part := re.fullmatch(r'stage(\d+)_(\w+)', first):
    stage, name = part.groups()
    if name == 'norm':
      module = f'features.{last_norm}'
    elif name == 'transition':
      module = f'features.transition{stage}'
    else:
      module = f'features.denseblock{stage}.denselayer{int(name) + 1}'
  return torch_layers.make_rule('.'.join((module, *rest)), leaf)


def canonicalize(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, np.ndarray]:
  """Returns the tensors under their current names, without counters.

  Files that torchvision still publishes call `norm1` of a layer `norm.1`.
  """
  tensors = state_dicts.without_counters(tensors, checkpoint)
  return {
      re.sub(r'(denselayer\d+\.(?:norm|conv))\.(\d)\.', r'\1\2.', name): value
      for name, value in tensors.items()
  }


LAYOUT = state_dicts.Layout(
    source='torchvision DenseNet',
    marks=frozenset({'features.norm0.weight', 'features.norm5.weight'}),
    infer_model=infer_model,
    make_rule=functools.partial(make_rule, last_norm='norm5'),
    licence=(
        'torchvision is under BSD-3-Clause and timm under Apache-2.0; their '
        'weights were trained on ImageNet, whose terms are for non-commercial '
        'research. Other weights keep the licence of their source.'
    ),
    preprocessing='torchvision',
    canonicalize=canonicalize,
)
GREY_LAYOUT = LAYOUT._replace(
    source='AIM3 DenseNet for grey faces',
    marks=frozenset({'features.conv0.weight', 'features.norm3.weight'}),
    make_rule=functools.partial(make_rule, last_norm='norm3'),
    preprocessing='denseface',
    licence=(
        'AIM3 gives no licence for its weights, and FER+ and AffectNet, their '
        'training data, are for research only: ask the authors.'
    ),
    # The order in which AIM3's code for this network reads the votes of FER+.
    labels={
        8: (
            'Neutral', 'Happiness', 'Surprise', 'Sadness', 'Anger', 'Disgust',
            'Fear', 'Contempt',
        )
    },
)  # fmt: skip
