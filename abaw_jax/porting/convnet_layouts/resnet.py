"""State dicts of torchvision's ResNets (`resnet18`, `resnet50`)."""

import functools
import pathlib
from typing import Any

from abaw_jax.porting.layouts import state_dicts, torch_layers

_MODULES = {'stem_conv': 'conv1', 'stem_norm': 'bn1', 'head': 'fc'}


def infer_model(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns sizes, the usual `image_size` and `num_classes`."""
  stem_width, *_ = torch_layers.read_shape(
      shapes, checkpoint, 'conv1.weight', 'w 3 k k'
  )
  return {
      'name': 'convnet',
      'layers': torch_layers.count_blocks(shapes, 'layer'),
      'stem_width': stem_width,
      'bottleneck': 'layer1.0.conv3.weight' in shapes,
      'image_size': 224,
  } | torch_layers.count_classes(shapes, checkpoint, 'fc.weight')


LAYOUT = state_dicts.Layout(
    source='torchvision ResNet',
    marks=frozenset({'conv1.weight', 'bn1.weight', 'layer1.0.conv2.weight'}),
    infer_model=infer_model,
    make_rule=functools.partial(
        torch_layers.make_residual_rule, modules=_MODULES
    ),
    licence=(
        'torchvision is under BSD-3-Clause; its weights were trained on '
        'ImageNet, whose terms are for non-commercial research. Other weights '
        'keep the licence of their source.'
    ),
    preprocessing='torchvision',
)
