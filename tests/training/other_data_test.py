"""A run remembers its data: other data are refused, and moved data are accepted."""

import contextlib
import pathlib
import shutil

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import sources
from abaw_jax.inference import evaluation
from abaw_jax.scoring import prediction_files
from abaw_jax.training import loop
from abaw_jax.workflow import studies
from tests.data import corpora
from tests.training import runs

FEATURES = 's_aff_wild2_features/small'
SMALL = {'epochs': 0.5, 'eval_epochs': 0.0, 'data__window': 8}


def change(data_dir: pathlib.Path, alter) -> None:
  """Writes the features of a folder again, with altered validation records."""
  records = {
      split: list(sources.Records(data_dir, *FEATURES.split('/'), split))
      for split in ('train', 'validation')
  }
  records['validation'] = alter(records['validation'])
  shutil.rmtree(data_dir)
  corpora.write_records(
      data_dir, records, dataset='s_aff_wild2', name='small', dim=16, card={}
  )


def with_other_labels(records):
  for record in records:
    record['valence'] = -record['valence']
  return records


def with_fewer_rows(records):
  return [
      {k: v[:2] if isinstance(v, np.ndarray) else v for k, v in record.items()}
      for record in records
  ]


@pytest.fixture(scope='module')
def trained(feature_dir, tmp_path_factory):
  """Returns (config, folder with `data` and `run`, trained with relative paths)."""
  root = tmp_path_factory.mktemp('trained')
  shutil.copytree(feature_dir, root / 'data')
  config = runs.smoke('mtl', 'data', data__stride=8, **SMALL)
  with contextlib.chdir(root):
    loop.train(config, pathlib.Path('run'))
  return config, root


@pytest.fixture
def copied(trained, tmp_path):
  """Returns the same in a folder of the test."""
  config, root = trained
  shutil.copytree(root, tmp_path, dirs_exist_ok=True)
  return config, tmp_path


def test_a_run_is_evaluated_from_another_folder(trained):
  _, root = trained
  scores = evaluation.evaluate(root / 'run', 'validation')
  rows = prediction_files.read(evaluation.file(root / 'run', 'validation'))
  assert rows.data == {FEATURES: sources.fingerprint(root / 'data', FEATURES)}
  assert rows.scores()['score'] == pytest.approx(scores['score'])


def test_moved_data_are_given_by_their_new_folder(copied, trained):
  _, root = copied
  moved = (root / 'data').rename(root / 'moved')
  path = root / 'run' / 'config.json'
  old = str(trained[1] / 'data')
  path.write_text(path.read_text().replace(old, str(root / 'data')))
  with pytest.raises(errors.InputError, match='give its new --data_dir'):
    evaluation.evaluate(root / 'run', 'validation')
  evaluation.evaluate(root / 'run', 'validation', data_dir=moved)


@pytest.mark.parametrize(
    ('alter', 'difference'),
    [
        (with_other_labels, 'labels of validation differ'),
        (with_fewer_rows, r'validation has \d+ rows, was \d+'),
    ],
)
def test_other_data_are_refused(copied, alter, difference):
  config, root = copied
  data, run = root / 'data', root / 'run'
  config = config | {'data': config['data'] | {'dir': str(data)}}
  change(data, alter)
  message = f'trained on other data: {FEATURES}: {difference}; restore'
  with pytest.raises(errors.InputError, match=message):
    evaluation.evaluate(run, 'validation', data_dir=data)
  with pytest.raises(errors.InputError, match=message):
    studies.check_ended([studies.Run(run, {})], config)
  with pytest.raises(errors.InputError, match=message):
    loop.train(config, run)
  (run / 'DONE').unlink()  # as if the run was interrupted
  with pytest.raises(errors.InputError, match=message):
    loop.train(config, run)
  # Prediction of another dataset is what the user asks for.
  evaluation.evaluate(run, 'validation', data=data / 's_aff_wild2')


def test_data_without_a_fingerprint_are_one_line(copied):
  config, root = copied
  next((root / 'data').rglob('fingerprint.json')).unlink()
  config = config | {'data': config['data'] | {'dir': str(root / 'data')}}
  with pytest.raises(errors.InputError, match='make it again with --overwrite'):
    loop.train(config, root / 'new')
  assert not (root / 'new').exists()
