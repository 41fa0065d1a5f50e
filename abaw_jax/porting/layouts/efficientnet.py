"""State dicts of timm's `tf_efficientnet_b0` and `_b2`, and of HSE-NN's networks.

HSE-NN (EmotiEffLib) publishes the same networks after training on AffectNet, as
pickled modules; `torch_modules.py` makes state dicts of those.
"""

from collections.abc import Mapping
import re
from typing import Any

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts, torch_layers

# By the channels of the head and the number of blocks.
_SIZES = {
    (1280, 16): {'width': 1.0, 'depth': 1.0, 'image_size': 224},
    (1408, 23): {'width': 1.1, 'depth': 1.2, 'image_size': 260},
}
_MODULES = {
    'stem_conv': 'conv_stem',
    'stem_norm': 'bn1',
    'head_conv': 'conv_head',
    'head_norm': 'bn2',
    'head': 'classifier',
}
_OF_BLOCK = {
    'expand_conv': 'conv_pw',
    'expand_norm': 'bn1',
    'depthwise_conv': 'conv_dw',
    'depthwise_norm': 'bn2',
    'squeeze': 'se.conv_reduce',
    'excite': 'se.conv_expand',
    'project_conv': 'conv_pwl',
    'project_norm': 'bn3',
}
# Without expansion the counting starts later, and `pw` is what projects.
_OF_FIRST_STAGE = _OF_BLOCK | {
    'depthwise_norm': 'bn1',
    'project_conv': 'conv_pw',
    'project_norm': 'bn2',
}
_EMOTIONS = (
    'Anger',
    'Contempt',
    'Disgust',
    'Fear',
    'Happiness',
    'Neutral',
    'Sadness',
    'Surprise',
)


def describe(shapes: state_dicts.Shapes, where: str) -> dict[str, Any]:
  """Returns what names and shapes tell, with the usual `image_size`.

  That is `width`, `depth` and, if there is a classifier, `num_classes`.

  Args:
    shapes: of a tidy state dict, by name.
    where: file to name in messages.

  Raises:
    InputError: if it is no EfficientNet-B0 or B2.
  """
  head = shapes.get('conv_head.weight', (0,))[0]
  stages = torch_layers.depth(shapes, 'blocks')
  blocks = sum(
      torch_layers.depth(shapes, f'blocks.{stage}') for stage in range(stages)
  )
  if (head, blocks) not in _SIZES:
    raise errors.InputError(
        f'{where}: has {blocks} blocks and conv_head.weight of {head} channels; '
        'convert an EfficientNet-B0 (16 and 1280) or -B2 (23 and 1408)'
    )
  section = {'name': 'convnet'} | _SIZES[head, blocks]
  if 'classifier.weight' in shapes:
    section['num_classes'], _ = torch_layers.sizes(
        shapes, where, 'classifier.weight', 'k d'
    )
  return section


def rule_of(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule of a parameter or running statistic.

  Args:
    path: such as `backbone/stage1_0/project_conv/kernel`, `head/bias` or
      `batch_stats/backbone/stem_norm/mean`.
    model: `model` section of the config.
  """
  del model
  first, *rest, leaf = torch_layers.names(path)
  block = re.fullmatch(r'stage(\d)_(\d+)', first)
  if not block:
    return torch_layers.rule(_MODULES[first], leaf)
  stage, i = int(block[1]), block[2]
  layer = (_OF_BLOCK if stage > 1 else _OF_FIRST_STAGE)[rest[0]]
  return torch_layers.rule(f'blocks.{stage - 1}.{i}.{layer}', leaf)


def tidy(tensors: state_dicts.Tensors, where: str) -> dict[str, Any]:
  """Returns the tensors without counters, the classifier by its usual name.

  In some of HSE-NN's networks it is the only layer of a sequence.
  """
  tensors = state_dicts.without_counters(tensors, where)
  return {
      re.sub(r'^classifier\.0\.', 'classifier.', name): value
      for name, value in tensors.items()
  }


LAYOUT = state_dicts.Layout(
    source='timm tf_efficientnet, HSE-NN',
    marks=frozenset({'conv_stem.weight', 'blocks.0.0.se.conv_reduce.weight'}),
    describe=describe,
    rule_of=rule_of,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    resize='bilinear',  # HSE-NN's; timm's own weights saw bicubic
    licence=(
        'timm and EmotiEffLib are under Apache-2.0. HSE-NN trained on VGGFace2 '
        'and AffectNet, timm on ImageNet: their terms are for non-commercial '
        'research. Weights of others keep the licence of their source.'
    ),
    tidy=tidy,
    # As HSE-NN orders them: alphabetically, as folders are.
    labels={
        7: tuple(x for x in _EMOTIONS if x != 'Contempt'),
        8: _EMOTIONS,
        10: (*_EMOTIONS, 'valence', 'arousal'),
    },
)
