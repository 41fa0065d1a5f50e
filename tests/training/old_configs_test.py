"""Configs of runs that began before some of today's keys were there."""

import json

import pytest

from abaw_jax.checkpoints import runs
from abaw_jax.core import errors
from abaw_jax.training import old_configs
from tests.training import runs as smoke_runs


def stored(workdir, config):
  """Returns what is read of a config without every key of ADDED."""
  added = old_configs.ADDED[config['model']['name']]
  for key in old_configs.ADDED[''] | added:
    *sections, last = key.split('.')
    if not sections:
      del config[last]
    elif sections[0] in config:  # a temporal model has no `augment`
      config[sections[0]].pop(last, None)
  (workdir / 'config.json').write_text(json.dumps(config))
  return runs.read_config(workdir)


@pytest.mark.parametrize('name', ['mae', 'frame', 'mtl'])
def test_keys_that_came_later_are_there(tmp_path, name):
  new = smoke_runs.smoke(name, tmp_path)
  read = stored(tmp_path, smoke_runs.smoke(name, tmp_path))
  assert runs.flatten(read).keys() == runs.flatten(new).keys()


def test_keys_that_came_later_mean_what_was_done_before(tmp_path):
  new = smoke_runs.smoke('mae', tmp_path)
  read = runs.flatten(stored(tmp_path, smoke_runs.smoke('mae', tmp_path)))
  assert read['data.weights'] == ''
  assert runs.check(tmp_path, new | {'plot_steps': 0}) == []


def test_a_temporal_model_of_before_has_the_layers_that_it_was_trained_with(
    tmp_path,
):
  read = stored(tmp_path, smoke_runs.smoke('mtl', tmp_path))
  assert (read['model']['va_features'], read['model']['va_tanh']) == (0, False)
  assert read['loss']['l2'] == 0.0


def test_a_key_that_nobody_can_know_is_named(tmp_path):
  config = smoke_runs.smoke('mae', tmp_path)
  del config['optim']['lr']
  read = stored(tmp_path, config)
  with pytest.raises(errors.InputError, match=r'json: lacks config\.optim\.lr'):
    read['optim']['lr']


def test_weights_without_a_run_get_no_section(tmp_path):
  config = {'model': {'name': 'mae'}}
  (tmp_path / 'config.json').write_text(json.dumps(config))
  read = runs.read_config(tmp_path)
  assert set(read) == {'model'}
  assert read['model']['positions'] == 'sincos'
