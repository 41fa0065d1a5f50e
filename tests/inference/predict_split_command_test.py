"""From a config to folds, their blend, and the submission file."""

import json

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.inference import evaluation
from abaw_jax.postprocessing import postprocessing_files
from abaw_jax.scoring import prediction_files
from abaw_jax.tasks import registry
from abaw_jax.training import loop
from abaw_jax.workflow import studies
from tests.training import runs

SMALL = {
    'epochs': 0.5,
    'eval_epochs': 0.0,
    'data__batch_size': 4,
    'data__window': 8,
    'data__stride': 8,
}


def _command(module, *arguments):
  """Runs a command, which must not fail; returns its output."""
  status, out, error = runs.finish(runs.start(module, *arguments))
  assert status == 0, error
  return out


@pytest.fixture(scope='module')
def fold0(feature_dir, tmp_path_factory):
  """Returns the workdir of the trained first fold of two."""
  workdir = tmp_path_factory.mktemp('c,v+1') / 'fold0_seed0'
  config = runs.smoke('mtl', feature_dir, data__num_folds=2, **SMALL)
  loop.train(config, workdir)
  return workdir


def test_predictions_of_another_dataset_have_their_own_folder(
    fold0, feature_dir
):
  data = feature_dir / 's_aff_wild2'
  evaluation.evaluate(fold0, 'test')
  evaluation.evaluate(fold0, 'test', data=data)
  evaluation.evaluate(fold0, 'validation', data=data)
  own, other, full = (
      prediction_files.read(evaluation.file(fold0, split, data=data))
      for split, data in (
          ('test', None), ('test', data), ('validation', data)
      )
  )  # fmt: skip
  assert not own.labelled
  np.testing.assert_array_equal(own.au, other.au)
  # Folds apply only to the run's own dataset, not to another one.
  official = runs.smoke('mtl', feature_dir)
  source = evaluation.validation_source(registry.make_task(official))
  assert set(full.video) == set(source.videos.names)


def test_finished_runs_with_another_config_are_refused(fold0, feature_dir):
  config = runs.smoke('mtl', feature_dir, **SMALL)
  planned = studies.crossvalidation(fold0.parent, [0], 2)
  studies.check_ended(planned, config)
  config['optim']['lr'] = 0.5
  with pytest.raises(errors.InputError, match=r'fold0_seed0: .*optim\.lr was'):
    studies.check_ended(planned, config)
  planned = studies.crossvalidation(fold0.parent, [0], 3)
  with pytest.raises(errors.InputError, match=r'num_folds was 2, is 3'):
    studies.check_ended(planned, config)


def test_folds_to_submission(fold0, feature_dir, data_dir, tmp_path):
  root = fold0.parent
  overrides = [
      f'--config.{key.replace("__", ".")}={value}'
      for key, value in SMALL.items()
  ]
  out = _command(
      'abaw_jax.crossvalidate',
      '--config=configs/mtl.py:smoke',
      '--config.data.name=s_aff_wild2',
      f'--config.data.dir={feature_dir}',
      *overrides,
      '--num_folds=2',
      '--groups=2',
      '--resamples=100',
      f'--workdir={root}',
  )
  assert 'train fold0_seed0: already done' in out
  assert 'of the official validation split:' in out
  report = json.loads((root / 'report.json').read_text())
  assert report['runs'] == ['fold0_seed0', 'fold1_seed0']
  rows = prediction_files.read(root / 'predictions' / 'out_of_fold.npz')
  held = [
      set(
          prediction_files.read(evaluation.file(root / run, 'validation')).video
      )
      for run in report['runs']
  ]
  assert not held[0] & held[1]
  assert held[0] | held[1] == set(rows.video)
  how = postprocessing_files.read(root / 'postprocessing.json')
  np.testing.assert_allclose(how.weights['va'], [0.5, 0.5])

  (test_list,) = (data_dir / 'source').glob('test_set/*.txt')
  count = len(test_list.read_text().splitlines()) - 1
  out = _command(
      'abaw_jax.predict_split',
      f'--workdir={root}',
      '--split=test',
      f'--postprocessing={root}/postprocessing.json',
      f'--table={tmp_path}/test.csv',
      f'--submission={tmp_path}/mtl.txt',
      f'--list={test_list}',
      '--missing=error',
  )
  assert f'mtl.txt: {count} rows as in the list' in out
  table = prediction_files.read(tmp_path / 'test.csv')
  np.testing.assert_array_equal(table.row, np.arange(count))
