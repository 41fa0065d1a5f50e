"""Which runs a cross-validation has, and what they are started with."""

import json
import pathlib

import pytest

from abaw_jax.core import errors
from abaw_jax.workflow import crossvalidation

ROOT = pathlib.Path('runs/cv')


def names(seeds, num_folds):
  plan = crossvalidation.plan(ROOT, seeds, num_folds)
  return [run.workdir.name for run in plan]


def test_every_fold_and_seed_has_a_run():
  assert names([0, 7], 2) == [
      'fold0_seed0', 'fold1_seed0', 'fold0_seed7', 'fold1_seed7'
  ]  # fmt: skip
  assert names([3, 1], 0) == ['seed3', 'seed1']


@pytest.mark.parametrize(
    ('seeds', 'num_folds', 'message'),
    [
        ([], 2, '--seeds=: give'),
        ([1, 1], 2, '--seeds=1,1'),
        ([0], 1, '--num_folds=1'),
    ],
)
def test_a_plan_that_is_none_is_refused(seeds, num_folds, message):
  with pytest.raises(errors.InputError, match=message):
    names(seeds, num_folds)


def test_stages_train_what_the_plan_says():
  arguments = ['--config=configs/mtl.py', '--config.optim.lr=0.1']
  plan = crossvalidation.plan(ROOT, [5], 2)
  first, second = crossvalidation.stages(plan, arguments, 2)
  assert first.command[:3] == ('abaw_jax.train', *arguments)
  assert second.command[3:] == (
      '--config.seed=5',
      '--config.data.num_folds=2',
      '--config.data.fold=1',
      '--workdir=runs/cv/fold1_seed5',
  )
  assert second.done == ROOT / 'fold1_seed5' / 'DONE'
  (only,) = crossvalidation.stages(
      crossvalidation.plan(ROOT, [5], 0), arguments, 0
  )
  assert not any('fold' in argument for argument in only.command)


@pytest.mark.parametrize('key', crossvalidation.KEYS)
def test_keys_of_each_run_cannot_be_set_for_all(key):
  with pytest.raises(errors.InputError, match=f'config.{key}=1: each run'):
    crossvalidation.check_arguments([f'--config.{key}=1'])
  crossvalidation.check_arguments(['--config=a.py', '--config.seeds=1'])


def test_a_folder_stands_for_its_runs(tmp_path):
  assert crossvalidation.runs_of(tmp_path) == [tmp_path]
  report = tmp_path / crossvalidation.REPORT
  report.write_text(json.dumps({'runs': ['seed0', 'seed1']}))
  assert crossvalidation.runs_of(tmp_path) == [
      tmp_path / 'seed0', tmp_path / 'seed1'
  ]  # fmt: skip
  report.write_text('{}')
  with pytest.raises(errors.InputError, match=r'report\.json: it does not'):
    crossvalidation.runs_of(tmp_path)
