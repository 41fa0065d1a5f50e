"""What a model starts from: a run's best checkpoint or a folder of weights.

A folder of weights is written by `abaw_jax.convert`: `weights.safetensors` (our
parameters by path), `config.json` (sections `model` and `augment`, as in a
workdir) and `card.json` (where they come from, checksums, preprocessing).
"""

from collections.abc import Mapping
import json
import pathlib
import shutil
from typing import Any

import jax
import numpy as np

from abaw_jax.checkpoints import parameters, runs
from abaw_jax.core import errors, files
from abaw_jax.distributed import sharding
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.porting import weight_files
from abaw_jax.steps import optimization

_WEIGHTS = 'weights.safetensors'
_CARD = 'card.json'

# Which models start another one, with their backbone alone.
STARTS = {
    'frame': ('mae', 'vit', 'convnet', 'identity'),
    'identity': ('mae', 'vit', 'convnet', 'frame'),
    'mae': ('vit',),
    'vit': ('mae', 'frame', 'identity'),
    'convnet': ('frame', 'identity'),
}


def is_folder(origin: pathlib.Path) -> bool:
  """Returns whether this is a folder of weights."""
  return (origin / _WEIGHTS).is_file()


def load(
    origin: pathlib.Path, model: Mapping[str, Any], shapes: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns parameters that a model starts from, and where they are from.

  Args:
    origin: workdir of a run, whose best checkpoint is taken, or a folder of
      weights.
    model: `model` section of the config of the model that starts.
    shapes: nested dict of its `jax.ShapeDtypeStruct`s with sharding.

  Returns:
    The top-level parts that start, and the name of the origin with the step of
    a run or the checksum of a file.

  Raises:
    InputError: if there are no such weights, or they do not fit; lists what is
      missing, too much or misshapen.
  """
  source, target = runs.read_config(origin)['model'], model['name']
  if source['name'] == target:
    params, card = _load(origin, shapes)
    _check_heads(origin, source, model)
    return params, card
  if source['name'] not in STARTS.get(target, ()):
    raise errors.InputError(
        f'config.init_from={origin}: a {source["name"]} model cannot start a '
        f'{target} model; name a model of '
        f'{" or ".join((target, *STARTS.get(target, ())))}'
    )
  return _load_part(origin, model, shapes, optimization.BACKBONES[target])


def load_backbone(
    origin: pathlib.Path, model: Mapping[str, Any], shapes: Any
) -> tuple[Any, dict[str, Any]]:
  """Returns the weights of a backbone alone, and where they are from, as `load`.

  Args:
    origin: as in `load`; any model with a backbone of images.
    model: `model` section of a `vit` or `convnet` without classes.
    shapes: nested dict of its `jax.ShapeDtypeStruct`s with sharding.
  """
  return _load_part(origin, model, shapes, 'backbone')


def write_folder(
    folder: pathlib.Path,
    params: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    card: Mapping[str, Any],
) -> bool:
  """Writes a folder of weights; returns False if it is there already.

  Args:
    folder: appears when it is whole.
    params: float32 parameters by path.
    config: sections `model` and `augment`.
    card: what a user of the weights must know; their checksum is added.

  Raises:
    InputError: if something else stands there.
  """
  with files.replacing(folder) as temporary:
    temporary.mkdir()
    weight_files.write(temporary / _WEIGHTS, params)
    card = dict(card) | {
        'weights_sha256': weight_files.sha256(temporary / _WEIGHTS)
    }
    files.write_json(temporary / 'config.json', config)
    files.write_json(temporary / _CARD, card)
    if folder.exists():
      _check_same_folder(folder, temporary)
      shutil.rmtree(temporary)
      return False
  return True


def _load_part(origin, model, shapes, part):
  """Returns the backbone of the origin as a top-level part of that name."""
  source = runs.read_config(origin)['model']
  renames = {part: optimization.BACKBONES[source['name']]}
  wanted = {part: shapes[part]}
  # Only convolutional backbones have statistics; they are called the same in
  # every model.
  if part in shapes.get(variables.STATISTICS, {}):
    renames[variables.STATISTICS] = variables.STATISTICS
    statistics = shapes[variables.STATISTICS][part]
    wanted[variables.STATISTICS] = {part: statistics}
  params, card = _load(origin, wanted, renames)
  _check_heads(origin, zoo.backbone_section(source), model)
  return params, card


def _load(origin, shapes, renames=None):
  """Returns all parameters, or renamed parts, and where they are from."""
  if not is_folder(origin):
    params, step = parameters.load(origin, shapes, renames=renames)
    return params, {'run': origin.name, 'step': step}
  path = origin / _WEIGHTS
  checksum = weight_files.sha256(path)
  if checksum != _read_card(origin).get('weights_sha256'):
    raise errors.InputError(
        f'{path}: is not the file that {_CARD} speaks of (another sha256); '
        'convert the weights again'
    )
  stored, _ = weight_files.read(path)
  if renames is not None:
    stored = {
        path.replace(old, new, 1): value
        for path, value in stored.items()
        for new, old in renames.items()
        if path.startswith(f'{old}/')
    }
  parameters.check_same_shapes(stored, shapes, path)

  def place(name, want):
    value = stored[sharding.path_name(name)]
    return jax.make_array_from_callback(
        want.shape, want.sharding, value.__getitem__
    )

  params = jax.tree_util.tree_map_with_path(place, shapes)
  return params, {'weights': origin.name, 'sha256': checksum}


def _read_card(folder: pathlib.Path) -> dict[str, Any]:
  path = folder / _CARD
  try:
    return json.loads(path.read_text())
  except (OSError, json.JSONDecodeError) as e:
    raise errors.InputError(
        f'{path}: cannot be read ({e}); convert the weights again'
    ) from e


def _check_same_folder(old: pathlib.Path, new: pathlib.Path) -> None:
  """Raises an InputError unless two folders hold the same conversion."""
  for name in (_CARD, 'config.json', _WEIGHTS):
    there = old / name
    if not there.is_file() or (
        weight_files.sha256(there) != weight_files.sha256(new / name)
    ):
      raise errors.InputError(
          f'{old}: holds something else already (another {name}); name another '
          '--out or remove it'
      )


def _check_heads(origin, source, target) -> None:
  """Raises an InputError if attention heads differ, which no shape tells."""
  have, want = _heads(source), _heads(target)
  for key in sorted(have.keys() & want.keys()):
    if have[key] != want[key]:
      raise errors.InputError(
          f'{origin}: was trained with {key}={have[key]}, config.model has '
          f'{want[key]}; choose the config.model that it was trained with'
      )


def _heads(model: Mapping[str, Any]) -> dict[str, int]:
  """Returns every number of heads in a `model` section, by its key."""
  keys = ('num_heads', 'decoder_num_heads')
  heads = {key: model[key] for key in keys if key in model}
  if 'backbone' in model and not zoo.is_convnet(model):
    heads['num_heads'] = zoo.make_backbone(model).num_heads
  return heads
