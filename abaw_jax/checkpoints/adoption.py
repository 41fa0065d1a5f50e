"""Values of a config that come from the initial weights of a run."""

from collections.abc import Collection, Mapping
from typing import Any

from abaw_jax.checkpoints import runs
from abaw_jax.core import errors, files
from abaw_jax.data import images
from abaw_jax.models import zoo

# Keys of a network that weights do not depend on.
_OF_TRAINING = (
    'drop_path', 'remat', 'scan', 'dtype', 'cudnn_attention', 'lora_rank',
    'lora_alpha', 'lora_targets',
)  # fmt: skip


def adopt(
    config: Mapping[str, Any],
    workdir: files.Path,
    given: Collection[str] = (),
) -> tuple[dict[str, Any], list[str]]:
  """Returns a config with the preprocessing and network of its initial weights.

  Args:
    config: config of a run; unchanged if it has no images or no `init_from`.
    workdir: its folder; a run that resumes keeps its values, because the initial
      weights may be gone.
    given: keys that the user set, such as `model.pool`; their network values stay.

  Returns:
    The config, and a line for each changed value.
  """
  config, network = adopt_network(config, workdir, given)
  config, pixels = adopt_preprocessing(config, workdir)
  return config, network + pixels


def adopt_network(
    config: Mapping[str, Any], workdir: files.Path, given: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
  """Returns `adopt` for the network of models that are no MAE.

  A convolutional network also replaces a ViT. A plain ViT, such as a MAE's, keeps
  the pooling of the config, and its image size if the weights have no position table.

  Raises:
    InputError: the weights are of a video network, a ViT cannot start a
      convolutional network, or LoRA needs a ViT.
  """
  ours = config['model']
  if not config['init_from'] or 'backbone' not in ours:
    return dict(config), []
  origin = _origin(config, workdir)
  theirs = runs.read_config(origin)['model']
  if zoo.is_video(theirs):
    raise errors.InputError(
        f'config.init_from={origin}: is a video network, which is not trained here; '
        f'make features with `abaw-jax extract --init_from={origin}` and train a '
        'temporal model on them'
    )
  if ours['name'] == 'mae' or 'backbone' not in theirs:
    return dict(config), []
  convolutional = zoo.is_convnet(theirs)
  if zoo.is_convnet(ours) and not convolutional:
    raise errors.InputError(
        f'config.init_from={origin}: holds a ViT, and config.model.backbone='
        f'{ours["backbone"]} is a convolutional network; use --config=frame'
    )
  if convolutional and ours.get('lora_rank'):
    raise errors.InputError(
        f'config.model.lora_rank={ours["lora_rank"]}: LoRA is for ViTs, and '
        f'{origin} holds {theirs["backbone"]}; set it to 0'
    )
  old, new = map(zoo.backbone_section, (ours, theirs))
  stay = {'name', *(x for x in _OF_TRAINING if x in new)}
  if not convolutional and not zoo.vit_options(theirs):
    stay |= {'pool'}
    stay |= {'image_size'} if new['positions'] == 'sincos' else set()
  stay |= {key for key in new if f'model.{key}' in given}
  kept = {k: v for k, v in ours.items() if k not in old or k in stay}
  model = new | kept
  optim = config['optim']
  if convolutional and 'optim.layer_decay' not in given:
    optim = {**optim, 'layer_decay': 1.0}
  lines = [
      f'config.{section}.{key}={value}, as in the network of {origin}'
      for section, values in (('model', model), ('optim', optim))
      for key, value in values.items()
      if config[section].get(key) != value
  ]
  return {**config, 'model': model, 'optim': optim}, lines


def adopt_preprocessing(
    config: Mapping[str, Any], workdir: files.Path
) -> tuple[dict[str, Any], list[str]]:
  """Returns a config with the preprocessing of its initial weights.

  Arguments and results are those of `adopt`.
  """
  if not config['init_from'] or 'augment' not in config:
    return dict(config), []
  origin = _origin(config, workdir)
  theirs = runs.read_config(origin).get('augment', {})
  values = images.Resizing.from_config(theirs)._asdict() if theirs else {}
  values |= {key: theirs[key] for key in ('mean', 'std') if theirs}
  ours = config['augment']
  changed = {
      key: type(ours[key])(value)
      for key, value in values.items()
      if type(ours[key])(value) != ours[key]
  }
  return {**config, 'augment': ours | changed}, [
      f'config.augment.{key}={value}, as the weights of {origin} expect'
      for key, value in changed.items()
  ]


def _origin(config: Mapping[str, Any], workdir: files.Path) -> files.Path:
  """Returns the folder that has the values of a run."""
  return (
      workdir if runs.is_claimed(workdir) else files.path(config['init_from'])
  )
