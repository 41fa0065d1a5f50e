"""Studies: which runs they have, how they train them, and which they refuse."""

import json
import pathlib

import pytest

from abaw_jax.checkpoints import runs
from abaw_jax.configs import mtl
from abaw_jax.core import errors
from abaw_jax.workflow import studies

ROOT = pathlib.Path('runs/study')
TASKS = ('valence', 'arousal', 'expression', 'au')


@pytest.fixture
def config():
  config = mtl.get_config('smoke').to_dict()
  config['data'] |= {'name': 's_aff_wild2', 'dir': 'DATA_DIR'}
  return config


def names(seeds, num_folds):
  planned = studies.crossvalidation(ROOT, seeds, num_folds)
  return [run.workdir.name for run in planned]


def test_a_crossvalidation_has_a_run_for_each_fold_and_seed():
  assert names([0, 7], 2) == [
      'fold0_seed0', 'fold1_seed0', 'fold0_seed7', 'fold1_seed7'
  ]  # fmt: skip
  assert names([3, 1], 0) == ['seed3', 'seed1']
  with pytest.raises(errors.InputError, match='--num_folds=1: no video'):
    names([0], 1)


def test_a_task_dependency_study_has_singles_pairs_and_all_tasks():
  planned = studies.task_dependency(ROOT, (0, 3), TASKS)
  assert len(planned) == 2 * (4 + 6 + 1)
  assert len({run.workdir for run in planned.values()}) == len(planned)
  sizes = [len(tasks) for seed, tasks in planned if seed == 3]
  assert sizes == [1] * 4 + [2] * 6 + [4]
  run = planned[0, ('valence', 'arousal')]
  assert run.workdir == ROOT / 'valence+arousal_seed0'
  assert run.overrides['model.tasks'] == 'valence,arousal'


def test_runs_are_trained_with_their_own_values(config, monkeypatch):
  started = []
  monkeypatch.setattr(studies.stages, 'run', started.extend)
  planned = studies.crossvalidation(ROOT, [5], 2)
  arguments = ['--config=mtl', '--config.optim.lr=0.1']
  studies.train(planned, config, arguments)
  assert started[1].command == (
      'abaw_jax.train',
      *arguments,
      '--config.data.name=s_aff_wild2',
      '--config.data.dir=DATA_DIR',
      '--config.seed=5',
      '--config.data.num_folds=2',
      '--config.data.fold=1',
      '--workdir=runs/study/fold1_seed5',
  )
  assert started[1].done == ROOT / 'fold1_seed5' / 'DONE'
  own = planned[1].config(config)
  assert (own['seed'], own['data']['fold']) == (5, 1)
  assert config['data']['fold'] == 0


@pytest.mark.parametrize('key', ['seed', 'data.num_folds', 'data.fold'])
def test_values_of_each_run_cannot_be_set_for_all(key):
  planned = studies.crossvalidation(ROOT, [0], 2)
  with pytest.raises(errors.InputError, match=f'config.{key}: this command'):
    studies.check_overrides(planned, [key])
  studies.check_overrides(planned, ['optim.lr'])


@pytest.mark.parametrize('study', ['crossvalidation', 'task_dependency'])
def test_runs_that_ended_with_another_config_are_refused(
    study, config, tmp_path
):
  if study == 'crossvalidation':
    planned = studies.crossvalidation(tmp_path, [0], 2)
  else:
    planned = list(studies.task_dependency(tmp_path, [0], TASKS).values())
  for run in planned:
    run.workdir.mkdir()
    runs.claim(run.workdir, run.config(config))
    (run.workdir / 'DONE').write_text('{}')
  studies.train(planned, config, [])  # all have ended: starts no command
  config['optim']['lr'] = 0.5
  with pytest.raises(errors.InputError, match=r'another config: .*optim\.lr'):
    studies.train(planned, config, [])


def test_a_folder_names_its_runs(tmp_path):
  assert studies.runs_of(tmp_path) == [tmp_path]
  report = tmp_path / studies.REPORT
  report.write_text(json.dumps({'runs': ['seed0', 'seed1']}))
  assert studies.runs_of(tmp_path) == [tmp_path / 'seed0', tmp_path / 'seed1']
  report.write_text('{}')
  with pytest.raises(errors.InputError, match=r'report\.json: does not name'):
    studies.runs_of(tmp_path)
