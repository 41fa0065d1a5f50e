"""Which network and which preprocessing weights are for, where names and shapes fit several.

The file says it (a pickled module, training arguments), or the JSON files of
Hugging Face next to it, or the user. Nothing is guessed.
"""

from collections.abc import Mapping
import json
import pathlib
from typing import Any

from abaw_jax.core import choices, errors
from abaw_jax.models import zoo
from abaw_jax.models.layers import dense
from abaw_jax.porting.layouts import preprocessing, state_dicts

# EfficientNets by their factor of depth.
_EFFICIENTNETS = {1.0: 'b0', 1.1: 'b1', 1.2: 'b2', 1.4: 'b3', 1.8: 'b4'}
# Backbones by timm's names, where these differ from ours.
TIMM_NAMES = {
    f'tf_efficientnet_{size}': f'efficientnet_{size}'
    for size in _EFFICIENTNETS.values()
}
# Names of files that belong to the JSON files in their folder.
_HUB_FILES = (
    'model.safetensors', 'pytorch_model.bin', 'open_clip_model.safetensors',
    'open_clip_pytorch_model.bin',
)  # fmt: skip
_WEIGHT_FILES = ('.safetensors', '.bin', '.pth', '.pt')
# Our names of activations, by Hugging Face's.
_ACTIVATIONS = {
    'gelu': 'gelu',
    'quick_gelu': 'quick_gelu',
    'gelu_pytorch_tanh': 'gelu_tanh',
    'gelu_new': 'gelu_tanh',
    'silu': 'swiglu',
}
# Sizes of video networks, and their names in Hugging Face's configs and in MARLIN's.
_WINDOW_FACTS = {
    'num_frames': ('num_frames', 'n_frames'),
    'input_size': ('image_size', 'img_size'),
}
_PILLOW_FILTERS = {2: 'bilinear', 3: 'bicubic'}


def read_neighbours(checkpoint: pathlib.Path) -> dict[str, Any]:
  """Returns facts from the JSON files that Hugging Face puts next to weights.

  Keys as in `torch_modules.facts`, and `arch`.

  Raises:
    InputError: if such a file is not JSON.
  """
  if checkpoint.name not in _HUB_FILES and not _is_alone(checkpoint):
    return {}
  config = _read_json(checkpoint.with_name('config.json'))
  # Of a model of images and text; its file has only changed values.
  config |= config.get('vision_config', {})
  facts = {}
  if 'architecture' in config:  # timm
    facts['arch'] = config['architecture']
    facts['pretrained_cfg'] = config.get('pretrained_cfg', config)
  if 'num_attention_heads' in config:
    facts['num_heads'] = config['num_attention_heads']
  activation = config.get('hidden_act')
  if str(config.get('model_type')).startswith('clip'):
    activation = activation or 'quick_gelu'
  if activation:
    facts['activation'] = _ACTIVATIONS.get(activation, activation)
  if 'layer_norm_eps' in config:
    facts['norm_eps'] = config['layer_norm_eps']
  for key, names in _WINDOW_FACTS.items():
    if found := [config[name] for name in names if name in config]:
      facts[key] = found[0]
  processor = _read_json(checkpoint.with_name('preprocessor_config.json'))
  if processor.get('do_normalize') and processor.get('do_resize'):
    facts['pretrained_cfg'] = {
        'mean': processor.get('image_mean'),
        'std': processor.get('image_std'),
        'interpolation': _PILLOW_FILTERS.get(processor.get('resample')),
        'crop_mode': 'center' if processor.get('do_center_crop') else 'squash',
    }
  return facts


def complete_variant(
    inferred: Mapping[str, Any],
    facts: Mapping[str, Any],
    arch: str | None,
    checkpoint: pathlib.Path,
) -> dict[str, Any]:
  """Returns the sizes of a network, with `torch_padding` for an EfficientNet.

  Args:
    inferred: result of `Layout.infer_model`.
    facts: facts about the file.
    arch: the user's name of the backbone.
    checkpoint: file to name in messages.

  Raises:
    InputError: if neither `facts` nor `arch` say which EfficientNet it is.
  """
  if 'width' not in inferred:
    return dict(inferred)
  same = facts.get('same_padding')
  named = str(facts.get('arch') or _config(facts).get('architecture') or '')
  if same is None and 'efficientnet' in named:
    same = named.startswith('tf_')
  if same is None and arch in TIMM_NAMES:
    same = True
  if same is None and arch is not None and arch.endswith('_torch'):
    same = False
  if same is None:
    size = _EFFICIENTNETS[inferred['depth']]
    raise errors.InputError(
        f'{checkpoint}: may be tf_efficientnet_{size} (padding of TensorFlow: also '
        f'HSE-NN) or efficientnet_{size} of timm (padding of PyTorch), and their '
        f'features differ; give --arch=tf_efficientnet_{size} or '
        f'--arch=efficientnet_{size}_torch'
    )
  return dict(inferred) | ({} if same else {'torch_padding': True})


def complete_vit_options(
    inferred: Mapping[str, Any],
    facts: Mapping[str, Any],
    activation: str | None,
    checkpoint: pathlib.Path,
) -> dict[str, Any]:
  """Returns the sizes of a ViT with its activation and epsilon.

  Args:
    inferred: result of `Layout.infer_model`.
    facts: facts about the file.
    activation: the user's choice, a key of `dense.ACTIVATIONS`.
    checkpoint: file to name in messages.

  Raises:
    InputError: the activation is unknown, or nothing says which one CLIP has.
  """
  model = dict(inferred)
  if not model.keys() & set(zoo.VIT_OPTIONS):
    return model
  eps = model.get('norm_eps', 1e-6)
  if facts.get('norm_eps', eps) != eps:
    model['norm_eps'] = facts['norm_eps']
  if model.get('activation') == 'swiglu':
    return model
  found = activation or facts.get('activation')
  if found is None and 'pre_norm' in model:
    named = facts.get('arch')
    if not named:
      raise errors.InputError(
          f'{checkpoint}: is a CLIP, and does not say which activation it has; '
          'give --activation=quick_gelu (weights of OpenAI, and open_clip models '
          'with quickgelu in their name) or --activation=gelu (other weights of '
          'open_clip)'
      )
    found = 'quick_gelu' if 'quickgelu' in named else 'gelu'
  if found is not None and found != model.get('activation', 'gelu'):
    choices.pick(dense.ACTIVATIONS, found, '--activation')
    model['activation'] = found
  return model


def choose_preprocessing(
    layout: state_dicts.Layout,
    model: Mapping[str, Any],
    facts: Mapping[str, Any],
    choice: str | None,
    checkpoint: pathlib.Path,
) -> tuple[dict[str, Any], str]:
  """Returns `mean`, `std`, `fit` and `filter`, and where they come from.

  Args:
    layout: layout of the file.
    model: `model` section of the config, with the positions of the file.
    facts: facts about the file.
    choice: the user's choice, a key of `preprocessing.PRESETS`.
    checkpoint: file to name in messages.

  Raises:
    InputError: if nothing says which preprocessing the weights expect.
  """
  if choice is not None:
    preset = choices.pick(preprocessing.PRESETS, choice, '--preprocessing')
    return dict(preset), f'--preprocessing={choice}'
  config = _from_config(_config(facts))
  name = layout.preprocessing
  own = layout.label_preprocessing
  if own and model.get('num_classes') in layout.labels:
    preset = preprocessing.PRESETS[own]
    usual = name and preprocessing.PRESETS[name]['mean']
    # HSE-NN's files keep timm's config of the weights that it started from.
    if not config or config['mean'] in (preset['mean'], usual):
      return dict(preset), f'{own}, by the number of classes'
  if config:
    return config, 'from the file'
  if not name and _is_mae(model, facts):
    name = 'imagenet'
  if not name:
    raise errors.InputError(
        f'{checkpoint}: does not say which preprocessing its weights expect, and '
        'others with the same names differ; give --preprocessing=imagenet '
        '(facebookresearch/mae, DeiT, DINO, most of timm), half (mean and std '
        '0.5: ViTs of Google, ap_in1k), hf_vit or emotiefflib'
    )
  return dict(preprocessing.PRESETS[name]), name


def _is_mae(model: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
  """Returns whether a ViT is surely from facebookresearch/mae.

  Only MAEs have a decoder or fixed positions; the scripts of the project save
  their arguments.
  """
  return (
      'decoder_dim' in model
      or model.get('positions') == 'sincos'
      or {'finetune', 'global_pool', 'layer_decay'} <= facts.keys()
  )


def _config(facts: Mapping[str, Any]) -> Mapping[str, Any]:
  """Returns timm's config of pretrained weights, or training arguments."""
  config = facts.get('pretrained_cfg')
  return config if isinstance(config, dict) else facts


def _from_config(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns `mean`, `std`, `fit` and `filter` of a config, {} if it has none."""
  mean, std = (_colors(config.get(key)) for key in ('mean', 'std'))
  interpolation = config.get('interpolation')
  if not mean or not std or interpolation not in _PILLOW_FILTERS.values():
    return {}
  fit = 'squash' if config.get('crop_mode') == 'squash' else 'crop'
  return {'mean': mean, 'std': std, 'fit': fit, 'filter': interpolation}


def _colors(value: Any) -> tuple[float, ...]:
  """Returns three numbers, () for anything else."""
  is_colors = isinstance(value, list | tuple) and len(value) == 3
  if not is_colors or not all(isinstance(x, int | float) for x in value):
    return ()
  return tuple(map(float, value))


def _is_alone(checkpoint: pathlib.Path) -> bool:
  """Returns whether a folder has no other file of weights."""
  others = checkpoint.absolute().parent.iterdir()
  return [x.name for x in others if x.suffix in _WEIGHT_FILES] == [
      checkpoint.name
  ]


def _read_json(path: pathlib.Path) -> dict[str, Any]:
  """Returns the content of a JSON file, {} if there is none."""
  if not path.is_file():
    return {}
  try:
    content = json.loads(path.read_text())
  except ValueError as e:
    raise errors.InputError(f'{path}: is not JSON ({e}); restore it') from e
  return content if isinstance(content, dict) else {}
