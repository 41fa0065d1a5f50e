"""Stored configs and workdirs."""

import json

import pytest

from abaw_jax.checkpoints import runs
from abaw_jax.core import errors

CONFIG = {
    'model': {'name': 'mae'},
    'data': {'dir': 'a'},
    'optim': {'b': (0, 1)},
}


def test_a_stored_config_is_read_as_it_was(tmp_path):
  runs.claim(tmp_path / 'run', CONFIG)
  assert runs.read_config(tmp_path / 'run') == CONFIG


def test_a_missing_key_is_one_line(tmp_path):
  runs.claim(tmp_path, CONFIG)
  config = runs.read_config(tmp_path)
  with pytest.raises(errors.InputError) as error:
    config['optim']['lr']
  assert str(error.value) == (
      f'{tmp_path}/config.json: config.optim.lr is missing; add it with the '
      'value that the run was trained with'
  )


def test_only_settings_without_effect_on_results_may_change(tmp_path):
  runs.claim(tmp_path, CONFIG)
  moved = CONFIG | {'data': {'dir': 'b'}}
  assert runs.check(tmp_path, moved) == []
  changed = CONFIG | {'optim': {'b': (0, 2)}}
  (line,) = runs.check(tmp_path, changed)
  assert line == 'config.optim.b was (0, 1), is (0, 2)'
  other = CONFIG | {'model': {'name': 'vit'}}
  with pytest.raises(errors.InputError, match=r"name was 'mae', is 'vit'"):
    runs.check(tmp_path, other)


def test_a_run_of_an_older_version_resumes(tmp_path):
  runs.claim(tmp_path, CONFIG)
  model, optim = {'lora_rank': 0}, {'name': 'adamw'}
  newer = {
      **CONFIG,
      'model': CONFIG['model'] | model,
      'optim': CONFIG['optim'] | optim,
  }
  assert runs.check(tmp_path, newer) == []
  newer['model'] |= {'lora_rank': 8}
  with pytest.raises(errors.InputError, match='lora_rank was 0, is 8'):
    runs.check(tmp_path, newer)


def test_the_newest_unfinished_run_is_chosen(tmp_path):
  assert runs.choose_workdir(tmp_path, 'mae').name == 'mae-1'
  for name in ('mae-1', 'mae-2', 'mae-x', 'mae_small-7'):
    runs.claim(tmp_path / name, CONFIG)
  assert runs.choose_workdir(tmp_path, 'mae').name == 'mae-2'
  runs.write_scores(tmp_path / 'mae-2' / 'DONE', {'loss': float('nan')})
  assert json.loads((tmp_path / 'mae-2' / 'DONE').read_text()) == {'loss': None}
  assert runs.choose_workdir(tmp_path, 'mae').name == 'mae-3'
