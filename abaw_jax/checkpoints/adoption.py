"""Values of a config that come from the initial weights of a run."""

from collections.abc import Collection, Mapping
from typing import Any

from abaw_jax.checkpoints import runs
from abaw_jax.core import errors, files
from abaw_jax.data import images
from abaw_jax.models import zoo

# Keys of a ViT that weights do not depend on.
_OF_TRAINING = ('drop_path', 'remat', 'scan', 'dtype', 'cudnn_attention')


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
  """Returns `adopt` for the keys of a ViT that is no plain one, such as DINOv2's.

  No config has the options of these networks, so that they come from the weights.
  """
  ours = config['model']
  if not config['init_from'] or 'patch_size' not in ours:
    return dict(config), []
  origin = _origin(config, workdir)
  theirs = runs.read_config(origin)['model']
  if zoo.is_video(theirs):
    raise errors.InputError(
        f'config.init_from={origin}: is a video network, which is not trained here; '
        f'make features with `abaw-jax extract --init_from={origin}` and train a '
        'temporal model on them'
    )
  if not zoo.vit_options(theirs):
    return dict(config), []
  changed = {
      key: value
      for key, value in zoo.backbone_section(theirs).items()
      if key not in ('name', *_OF_TRAINING)
      and f'model.{key}' not in given
      and (key not in ours or ours[key] != value)
  }
  return {**config, 'model': {**ours, **changed}}, [
      f'config.model.{key}={value}, as in the network of {origin}'
      for key, value in changed.items()
  ]


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
