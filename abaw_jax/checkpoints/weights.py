"""Initial weights of a model: the best checkpoint of a run, or a folder.

`abaw_jax.convert` writes folders of weights: `weights.safetensors` (parameters
by path), `config.json` (sections `model` and `augment`, as in a workdir) and
`card.json` (origin, checksums, preprocessing). A folder of an adapter has no base
weights, see `adapters`.
"""

from collections.abc import Mapping
import json
import shutil
from typing import Any

import numpy as np

from abaw_jax.checkpoints import adapters, parameters, runs
from abaw_jax.core import errors, files, locks
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.porting import weight_files
from abaw_jax.tasks import registry

_WEIGHTS = 'weights.safetensors'
_CARD = 'card.json'


def is_folder(origin: files.Path) -> bool:
  """Returns whether `origin` is a folder of weights."""
  return (origin / _WEIGHTS).is_file()


def load(
    origin: files.Path, model: Mapping[str, Any], shapes: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns initial parameters of a model, and their origin.

  LoRA of the origin is merged, unless the model has the same LoRA. Other new factors
  are left out of the result.

  Args:
    origin: workdir of a run, for its best checkpoint, or a folder of weights or of
      an adapter.
    model: `model` section of the config of the new model.
    shapes: nested dict of its `jax.ShapeDtypeStruct`s with sharding.

  Returns:
    The top-level parts that `origin` has, and a dict that names the origin with
    the step of the run or the checksum of the file.

  Raises:
    InputError: the weights cannot be read, or they are of another model; the
      message lists missing, extra and misshapen parameters.
  """
  config = runs.read_config(origin)
  source, target = map(registry.task_class, (config, {'model': model}))
  if source is target:
    wanted = target.stored(config['model'], shapes)
    parts = None if wanted is shapes else {name: name for name in wanted}
    params, card = _load_with_lora(
        origin, model, wanted, parts, target.backbone
    )
    _check_hidden_options(origin, config['model'], model)
    return params, card
  if source.name not in target.starts_from:
    raise errors.InputError(
        f'config.init_from={origin}: a {source.name} model cannot start a '
        f'{target.name} model; give a model of '
        f'{" or ".join((target.name, *target.starts_from))}'
    )
  return _load_part(origin, model, shapes, target.backbone)


def load_backbone(
    origin: files.Path, model: Mapping[str, Any], shapes: Any
) -> tuple[Any, dict[str, Any]]:
  """Returns the weights of a backbone and their origin, as `load`.

  Args:
    origin: as in `load`; any model with an image backbone.
    model: `model` section of a `vit` or `convnet` without classes.
    shapes: nested dict of its `jax.ShapeDtypeStruct`s with sharding.
  """
  return _load_part(origin, model, shapes, 'backbone')


def load_parts(
    origin: files.Path, shapes: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns some top-level parts of a model, and their origin, as `load`.

  Args:
    origin: as in `load`, of a model with these parts.
    shapes: nested dict of their `jax.ShapeDtypeStruct`s with sharding.
  """
  return _load(origin, shapes, {name: name for name in shapes})


def write_folder(
    folder: files.Path,
    params: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    card: Mapping[str, Any],
    *,
    name: str = _WEIGHTS,
    others: Mapping[str, Any] | None = None,
) -> bool:
  """Writes a folder of weights; returns False if the same folder exists.

  Args:
    folder: folder to create; it appears when it is complete.
    params: float32 parameters by path.
    config: sections `model` and `augment`.
    card: facts for users of the weights; their checksum is added.
    name: of the file of the parameters.
    others: JSON values of other files by name.

  Raises:
    InputError: the folder exists with other content, or another command writes it.
  """
  with (
      locks.held(folder),
      files.replacing(folder, last='config.json') as temporary,
  ):
    temporary.mkdir()
    weight_files.write_tensors(temporary / name, params)
    card = dict(card) | {
        'weights_sha256': weight_files.sha256(temporary / name)
    }
    for other, content in (others or {}).items():
      files.write_json(temporary / other, content)
    files.write_json(temporary / 'config.json', config)
    files.write_json(temporary / _CARD, card)
    if (folder / 'config.json').exists():
      _check_same_folder(folder, temporary, name)
      shutil.rmtree(temporary)
      return False
  return True


def _load_part(origin, model, shapes, part):
  """Returns the backbone of the origin as top-level part `part`."""
  config = runs.read_config(origin)
  renames = {part: registry.task_class(config).backbone}
  wanted = {part: shapes[part]}
  # Only convolutional backbones have statistics; every model uses the same
  # name.
  if part in shapes.get(variables.STATISTICS, {}):
    renames[variables.STATISTICS] = variables.STATISTICS
    statistics = shapes[variables.STATISTICS][part]
    wanted[variables.STATISTICS] = {part: statistics}
  params, card = _load_with_lora(origin, model, wanted, renames, part)
  _check_hidden_options(origin, zoo.backbone_section(config['model']), model)
  return params, card


def _load_with_lora(origin, model, shapes, renames, part):
  """Returns `_load`, with the LoRA of `model` in the backbone `part`."""
  have, want = map(zoo.lora_of, (runs.read_config(origin)['model'], model))
  if have == want:
    return _load(origin, shapes, renames)
  shapes = adapters.without_factors(shapes)
  if not have:
    return _load(origin, shapes, renames)
  shapes = adapters.with_factors(shapes, have, part)
  params, card = _load(origin, shapes, renames)
  return adapters.merged(params, have), card


def _load(origin, shapes, renames=None):
  """Returns all parameters or renamed parts, and their origin."""
  if adapters.is_adapter(origin):
    return adapters.load(origin, shapes, renames, load_backbone)
  if not is_folder(origin):
    params, step = parameters.load(origin, shapes, renames=renames)
    return params, {'run': origin.name, 'step': step}
  params, checksum = parameters.load_file(
      origin / _WEIGHTS, read_card(origin), shapes, renames
  )
  return params, {'weights': origin.name, 'sha256': checksum}


def read_labels(folder: files.Path) -> tuple[str, ...]:
  """Returns the names of a converted classifier's outputs, in order.

  Raises:
    InputError: the weights have no classifier, or its labels are not known.
  """
  order = (read_card(folder).get('labels') or {}).get('order')
  if not isinstance(order, list):
    raise errors.InputError(
        f'{folder}: {_CARD} names no expressions (labels.order is {order!r}); '
        'give weights of an expression classifier'
    )
  return tuple(order)


def read_card(folder: files.Path) -> dict[str, Any]:
  """Returns the facts about a folder of weights.

  Raises:
    InputError: its card cannot be read.
  """
  path = folder / _CARD
  try:
    return json.loads(path.read_text())
  except (OSError, json.JSONDecodeError) as e:
    raise errors.InputError(
        f'{path}: cannot be read ({e}); convert the weights again'
    ) from e


def _check_same_folder(old: files.Path, new: files.Path, weights: str) -> None:
  """Raises an InputError unless two folders hold the same conversion."""
  for name in (_CARD, 'config.json', weights):
    existing = old / name
    if not existing.is_file() or (
        weight_files.sha256(existing) != weight_files.sha256(new / name)
    ):
      raise errors.InputError(
          f'{old}: already exists with another {name}; give another --out or '
          'remove the folder'
      )


def _check_hidden_options(origin, source, target) -> None:
  """Raises an InputError if options differ that no shape shows."""
  have, want = _hidden_options(source), _hidden_options(target)
  for key in sorted(have.keys() & want.keys()):
    if have[key] != want[key]:
      raise errors.InputError(
          f'{origin}: was trained with {key}={have[key]}, but config.model has '
          f'{want[key]}; choose the config.model of these weights'
      )


def _hidden_options(model: Mapping[str, Any]) -> dict[str, Any]:
  """Returns options of a backbone that its weights do not show.

  Two EfficientNets differ only in padding and epsilon.
  """
  if zoo.is_convnet(model):
    return {'backbone': model['backbone']}
  keys = ('num_heads', 'decoder_num_heads')
  options = {key: model[key] for key in keys if key in model}
  if 'backbone' in model:
    vit = zoo.make_backbone(model)
    options |= {
        'num_heads': vit.num_heads,
        'activation': vit.activation,
        'norm_eps': vit.norm_eps,
        'rotary positions': vit.positions == 'rotary',
    }
  return options
