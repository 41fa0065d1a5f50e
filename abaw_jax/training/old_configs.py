"""Configs of runs that are older than some of today's keys."""

from collections.abc import Mapping
import pathlib
from typing import Any

from abaw_jax.core import errors
from abaw_jax.models import zoo

# Keys that came later, with the values that do what was done before; those of
# every model, then those of one. Temporal models from before there were several
# have other parameters: theirs lack more than is completed here.
ADDED = {
    '': {
        'augment.erase': 0.0,
        'augment.jitter': (0.0, 0.0, 0.0, 0.0),
        'augment.rand_magnitude': 9,
        'augment.rand_ops': 0,
        'data.read_threads': 4,
        'keep_task_bests': False,
        'optim.clip_by': 'all',
        'optim.ema': 0.0,
        'optim.eps': 1e-8,
        'optim.freeze': '',
        'optim.hold_epochs': 0.0,
        'optim.microbatches': 1,
        'optim.sam_faithful': False,
        'optim.sam_rho': 0.0,
        'optim.schedule': 'cosine',
        'optim.warmup_from_zero': False,
        'plot_steps': 0,
        'profile_start': 0,
        'profile_steps': 0,
        'save_minutes': 0.0,
    },
    'mae': {
        'data.face_size': 0,
        'data.weights': '',
        'model.positions': 'sincos',
        'model.remat': 'none',
        'model.scan': False,
    },
    'frame': {
        'data.balance': 'none',
        'data.expression_targets': 'majority',
        'data.face_size': 0,
        'data.validation': '',
        'data.weights': '',
        'loss.au_weights': 'none',
        'loss.class_weight_mean': 'weights',
        'loss.class_weights': 'none',
        'loss.label_smoothing': 0.0,
        'loss.mixup': 0.0,
        'loss.prior_adjustment': 0.0,
        'loss.va_mean': 'labelled',
        'model.positions': 'sincos',
        'model.remat': 'none',
        'model.scan': False,
    },
    'temporal': {
        'loss.l2': 0.0,
        'model.va_features': 0,
        'model.va_tanh': False,
    },
}
# Those of them that convolutional networks do not have.
_OF_VITS = ('model.positions', 'model.scan')


class Section(dict):
  """A section of a stored config; a key that it lacks is an InputError."""

  def __init__(self, path: pathlib.Path, name: str, values: Mapping[str, Any]):
    """Makes sections of all within.

    Args:
      path: the file.
      name: `config`, or `config.` and the name of the section.
      values: keys of the section; a list among them becomes a tuple again.
    """
    super().__init__(
        {k: _value(path, f'{name}.{k}', v) for k, v in values.items()}
    )
    self._path = path
    self._name = name

  def __missing__(self, key: str) -> Any:
    """Raises an InputError that names the key."""
    raise errors.InputError(
        f'{self._path}: lacks {self._name}.{key}, which this version reads; add '
        'it with the value that the run was trained with'
    )


def complete(path: pathlib.Path, config: Mapping[str, Any]) -> Section:
  """Returns what a config.json says, with the keys that came after it.

  Only its own sections are completed: weights without a run have no more than
  `model` and `augment`.
  """
  whole = Section(path, 'config', config)
  added = ADDED[''] | ADDED.get(whole['model']['name'], {})
  unknown = _OF_VITS if zoo.is_convnet(whole['model']) else ()
  for key, value in added.items():
    if key in unknown:
      continue
    *sections, last = key.split('.')
    if sections:
      section = whole.get(sections[0])
    else:
      section = whole if 'data' in whole else None  # a run
    if section is not None:
      section.setdefault(last, value)
  return whole


def _value(path: pathlib.Path, name: str, value: Any) -> Any:
  """Returns a value as it was before it became JSON."""
  if isinstance(value, dict):
    return Section(path, name, value)
  if isinstance(value, list):
    return tuple(_value(path, name, item) for item in value)
  return value
