"""Every number of every config has a range, which is checked before a start."""

import importlib
import json
import math
import pathlib
import re

import numpy as np
import pytest

from abaw_jax.augmentation import rand_augment
from abaw_jax.checkpoints import runs as stored_runs
from abaw_jax.configs import base, conditions
from abaw_jax.core import config_ranges, errors
from abaw_jax.steps import optimization
from abaw_jax.tasks import registry
from tests.training import runs

CONFIGS = pathlib.Path(base.__file__).parent
POSITIVE = 'an integer in [1, 2e9]'
NOT_NEGATIVE = 'a number in [0, inf)'
SHARE = 'a number in [0, 1)'
# A wrong value by key, and the range in its message.
WRONG = [
    ('data.batch_size', 0, POSITIVE),
    ('data.batch_size', 10**30, POSITIVE),
    ('data.batch_size', 2.5, POSITIVE),
    ('data.batch_size', True, POSITIVE),
    ('data.fill_labels', -1, 'an integer in [0, 2e9]'),
    ('data.window', 0, POSITIVE),
    ('log_steps', 0, POSITIVE),
    ('mesh.fsdp', 0, POSITIVE),
    ('optim.microbatches', 0, POSITIVE),
    ('epochs', 0.0, 'a number in (0, inf)'),
    ('epochs', math.inf, 'a number in (0, inf)'),
    ('save_minutes', -1.0, NOT_NEGATIVE),
    ('seed', -1, 'an integer in [0, 4294967295]'),
    ('seed', 2**32, 'an integer in [0, 4294967295]'),
    ('optim.lr', -1e-3, NOT_NEGATIVE),
    ('optim.lr', math.nan, NOT_NEGATIVE),
    ('optim.lr', 1e39, NOT_NEGATIVE),
    ('optim.lr', 'fast', NOT_NEGATIVE),
    ('optim.lr', None, NOT_NEGATIVE),
    ('optim.eps', 1e-50, 'a number in (0, inf)'),
    ('optim.ema', 1.0, SHARE),
    ('optim.sam_rho', -0.1, NOT_NEGATIVE),
    ('loss.weights.au', -1, NOT_NEGATIVE),
    ('loss.least_loss', -1.0, NOT_NEGATIVE),
    ('loss.label_smoothing', 1.0, SHARE),
    ('model.encoder_dropout', 1.5, SHARE),
    ('model.va_features', -1, 'an integer in [0, 2e9]'),
    ('model.mask_ratio', 1.0, 'a number in (0, 1)'),
    ('model.hidden_dims', (8, 0), 'integers in [1, 2e9]'),
    ('model.hidden_dims', 8, 'integers in [1, 2e9]'),
    ('augment.crop_scale', 1.01, 'a number in (0, 1]'),
    ('augment.mean', (0.5, 0.5), 'numbers in [0, 1], [0, 1], [0, 1]'),
    ('augment.std', (0.2, 0.0, 0.2), 'numbers in (0, 1], (0, 1], (0, 1]'),
    ('augment.std', (58.0,) * 3, 'numbers in (0, 1], (0, 1], (0, 1]'),
    ('augment.std', 0.5, 'numbers in (0, 1], (0, 1], (0, 1]'),
    (
        'augment.jitter',
        (0.0, 0.0, 0.0, 0.6),
        'numbers in [0, inf), [0, inf), [0, inf), [0, 0.5]',
    ),
    ('augment.jitter', (0.0, math.inf, 0.0, 0.0), 'numbers in [0, inf), '),
    ('augment.rand_magnitude', 31, 'an integer in [0, 30]'),
    ('augment.erase', math.nan, 'a number in [0, 1]'),
]


def nested(key: str, value) -> dict:
  for name in reversed(key.split('.')):
    value = {name: value}
  return value


def is_number(value) -> bool:
  """Returns whether a value is a number or has numbers."""
  if isinstance(value, tuple):
    return any(map(is_number, value))
  return isinstance(value, int | float) and not isinstance(value, bool)


def test_every_number_of_every_config_has_a_range_and_is_inside():
  keys = set()
  for path in CONFIGS.glob('[!_]*.py'):
    module = importlib.import_module(f'abaw_jax.configs.{path.stem}')
    for variant in getattr(module, 'VARIANTS', ()):
      config = module.get_config(variant).to_dict()
      config_ranges.check(config)
      flat = stored_runs.flatten(config)
      keys |= {key for key, value in flat.items() if is_number(value)}
  # Only networks of converted weights have these.
  keys |= {'model.num_registers', 'model.norm_eps'}
  keys |= {'model.num_frames', 'model.tubelet_size'}
  assert keys == base.RANGES.keys()


@pytest.mark.parametrize(('key', 'value', 'fix'), WRONG, ids=str)
def test_the_message_names_the_key_the_value_and_the_range(key, value, fix):
  message = re.escape(f'file: config.{key}={value}: give {fix}')
  with pytest.raises(errors.InputError, match=f'^{message}') as caught:
    config_ranges.check(nested(key, value), where='file: ')
  assert '\n' not in str(caught.value)


def test_the_ends_of_the_ranges_are_allowed():
  augment = {
      'mean': (0, 1, 0.5), 'std': (1, 1, 1e-3), 'crop_scale': 1,
      'jitter': (3.0, 0, 0, 0.5), 'rand_magnitude': rand_augment.MAX_MAGNITUDE,
      'erase': 1,
  }  # fmt: skip
  config_ranges.check({'augment': augment, 'seed': 2**32 - 1, 'own': -1})
  config_ranges.check({'model': {'hidden_dims': (), 'depth': 1}})


@pytest.mark.parametrize('name', runs.CONFIGS)
def test_no_task_takes_a_wrong_number(name, tmp_path):
  with pytest.raises(errors.InputError, match=r'^config.log_steps=0: give'):
    registry.make_task(runs.smoke(name, tmp_path, log_steps=0))


def test_a_stored_config_is_checked_and_the_message_names_the_file(tmp_path):
  file = tmp_path / 'config.json'
  file.write_text(json.dumps({'optim': {'lr': math.nan}}))
  message = f'^{re.escape(str(file))}: config.optim.lr=nan: give a number'
  with pytest.raises(errors.InputError, match=message):
    stored_runs.read_config(tmp_path)


def test_a_key_without_effect_is_named():
  given = {'optim.eps': 1e-3, 'optim.b1': 0.8, 'loss.margin': 0.1, 'seed': 3}
  config = {'optim': {'name': 'lion', 'b1': 0.8, 'eps': 1e-3}, 'seed': 3}
  (line,) = config_ranges.without_effect(config, given)
  assert (
      line == 'note: config.optim.eps has no effect, as config.optim.name=lion'
  )
  config['optim']['name'] = 'adamw'
  assert not config_ranges.without_effect(config, given)
  config['loss'] = {'name': 'softmax', 'margin': 0.1}
  (line,) = config_ranges.without_effect(config, given)
  assert line.startswith('note: config.loss.margin has no effect')


def test_conditions_are_on_keys_and_values_of_the_configs():
  flat = {
      key: value
      for config in runs.CONFIGS.values()
      for key, value in stored_runs.flatten(
          config.get_config().to_dict()
      ).items()
  }
  for key, text in conditions.CONDITIONS.items():
    name, _, values = text.partition('=')
    assert {key, name} <= flat.keys()
    assert not values or isinstance(flat[name], str)


# Condition that is false, and a changed value that must not matter then.
UNREAD = [
    ({'name': 'lion'}, {'eps': 0.5}),
    ({'name': 'adafactor'}, {'b1': 0.1, 'b2': 0.1, 'eps': 0.5}),
    ({'schedule': 'step', 'hold_epochs': 1.0}, {'warmup_epochs': 1.0}),
    ({'schedule': 'linear'}, {'end_lr': 0.5, 'warmup_from_zero': True}),
    ({'schedule': 'cosine'}, {'hold_epochs': 1.0, 'warmup_from_zero': True}),
    ({'clip_norm': 0.0}, {'clip_by': 'part'}),
]


@pytest.mark.parametrize(('condition', 'changed'), UNREAD)
def test_a_key_that_a_note_names_does_not_change_updates(condition, changed):
  updates = []
  for values in ({}, changed):
    config = runs.CONFIGS['heads'].get_config('smoke').to_dict()
    config['optim'] |= condition | values
    assert len(config_ranges.without_effect(config, _keys(values))) == len(
        values
    )
    task = registry.make_task(config)
    schedule = optimization.make_schedule(
        config, total_steps=8, warmup_steps=2, epoch_ends=(4, 8)
    )
    optimizer = optimization.make_optimizer(task, schedule)
    params = {'heads': {'kernel': np.eye(2, 3, dtype=np.float32)}}
    state = optimizer.init(params)
    for _ in range(5):
      update, state = optimizer.update(params, state, params)
    updates.append(update['heads']['kernel'])
  np.testing.assert_array_equal(*updates)


def _keys(values):
  return [f'optim.{key}' for key in values]
