"""State dicts of timm's EfficientNet-B0 to -B4, and of HSE-NN's networks.

timm's `tf_efficientnet_b0` and `efficientnet_b0` have the same names and shapes, so
the file or the user must say which of them it is (`conversion/identification.py`).

HSE-NN (EmotiEffLib) publishes the same networks, trained on AffectNet, as
pickled modules; `torch_modules.py` converts these to state dicts.
"""

from collections.abc import Mapping
import pathlib
import re
from typing import Any

from abaw_jax.core import errors
from abaw_jax.porting.layouts import state_dicts, torch_layers

# By the channels of the head and the number of blocks.
_SIZES = {
    (1280, 16): {'width': 1.0, 'depth': 1.0, 'image_size': 224},
    (1280, 23): {'width': 1.0, 'depth': 1.1, 'image_size': 240},
    (1408, 23): {'width': 1.1, 'depth': 1.2, 'image_size': 260},
    (1536, 26): {'width': 1.2, 'depth': 1.4, 'image_size': 300},
    (1792, 32): {'width': 1.4, 'depth': 1.8, 'image_size': 380},
}
_MODULES = {
    'stem_conv': 'conv_stem',
    'stem_norm': 'bn1',
    'head_conv': 'conv_head',
    'head_norm': 'bn2',
    'head': 'classifier',
}
_BLOCK = {
    'expand_conv': 'conv_pw',
    'expand_norm': 'bn1',
    'depthwise_conv': 'conv_dw',
    'depthwise_norm': 'bn2',
    'squeeze': 'se.conv_reduce',
    'excite': 'se.conv_expand',
    'project_conv': 'conv_pwl',
    'project_norm': 'bn3',
}
# Blocks of the first stage have no expansion: timm numbers their norms from the
# depthwise convolution on, and calls the projection `conv_pw`.
_FIRST_STAGE_BLOCK = _BLOCK | {
    'depthwise_norm': 'bn1',
    'project_conv': 'conv_pw',
    'project_norm': 'bn2',
}
_EMOTIONS = (
    'Anger', 'Contempt', 'Disgust', 'Fear', 'Happiness', 'Neutral', 'Sadness',
    'Surprise',
)  # fmt: skip
# Outputs of HSE-NN's networks: alphabetical, as in its folders.
LABELS = {
    7: tuple(x for x in _EMOTIONS if x != 'Contempt'),
    8: _EMOTIONS,
    10: (*_EMOTIONS, 'valence', 'arousal'),
}


def infer_model(
    shapes: state_dicts.Shapes, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns `width`, `depth`, the usual `image_size` and `num_classes`."""
  head = shapes.get('conv_head.weight', (0,))[0]
  stages = torch_layers.count_children(shapes, 'blocks')
  blocks = sum(
      torch_layers.count_children(shapes, f'blocks.{stage}')
      for stage in range(stages)
  )
  if (head, blocks) not in _SIZES:
    raise errors.InputError(
        f'{checkpoint}: has {blocks} blocks and conv_head.weight of {head} '
        'channels; convert an EfficientNet-B0 (16 and 1280), -B1 (23 and 1280), '
        '-B2 (23 and 1408), -B3 (26 and 1536) or -B4 (32 and 1792)'
    )
  return {
      'name': 'convnet',
      **_SIZES[head, blocks],
      **torch_layers.count_classes(shapes, checkpoint, 'classifier.weight'),
  }


def make_rule(path: str, model: Mapping[str, Any]) -> state_dicts.Rule:
  """Returns the rule for a parameter or running statistic."""
  del model
  first, *rest, leaf = torch_layers.split_path(path)
  block = re.fullmatch(r'stage(\d)_(\d+)', first)
  if not block:
    return torch_layers.make_rule(_MODULES[first], leaf)
  stage, i = int(block[1]), block[2]
  layer = (_BLOCK if stage > 1 else _FIRST_STAGE_BLOCK)[rest[0]]
  return torch_layers.make_rule(f'blocks.{stage - 1}.{i}.{layer}', leaf)


def canonicalize(
    tensors: state_dicts.Tensors, checkpoint: pathlib.Path
) -> dict[str, Any]:
  """Returns the tensors without counters, and the classifier by its usual name.

  Some of HSE-NN's networks wrap the classifier in a sequence of one layer.
  """
  tensors = state_dicts.without_counters(tensors, checkpoint)
  return {
      re.sub(r'^classifier\.0\.', 'classifier.', name): value
      for name, value in tensors.items()
  }


LAYOUT = state_dicts.Layout(
    source='timm EfficientNet, HSE-NN',
    marks=frozenset({'conv_stem.weight', 'blocks.0.0.se.conv_reduce.weight'}),
    infer_model=infer_model,
    make_rule=make_rule,
    licence=(
        'timm and EmotiEffLib are under Apache-2.0. HSE-NN trained on VGGFace2 '
        'and AffectNet, timm on ImageNet: their terms are for non-commercial '
        'research. Other weights keep the licence of their source.'
    ),
    canonicalize=canonicalize,
    labels=LABELS,
    label_preprocessing='emotiefflib',
)
