"""Predictions name the data that they were made on."""

import dataclasses

import pytest

from abaw_jax.core import errors
from abaw_jax.reports import ensembles
from abaw_jax.scoring import prediction_files
from tests.scoring import rows as made


def dataset(labels: str) -> dict:
  split = {'rows': 480, 'labels': labels}
  return {'options': {}, 'splits': {'validation': split}}


OLD = {'faces_features/mae': dataset('1') | {'source': {'faces': dataset('2')}}}
NEW = {'faces_features/mae': dataset('3') | {'source': {'faces': dataset('2')}}}
# Other features of the same frames, and of frames with other labels.
SAME = {
    'faces_features/vit': dataset('4') | {'source': {'faces': dataset('2')}}
}
OTHER = {
    'faces_features/vit': dataset('4') | {'source': {'faces': dataset('5')}}
}


def written(path, data, **options):
  rows = dataclasses.replace(made.make(**options), data=data)
  prediction_files.write(path, rows)
  return path


@pytest.mark.parametrize('suffix', ['.npz', '.parquet'])
def test_files_keep_the_fingerprints(tmp_path, suffix):
  path = written(tmp_path / f'rows{suffix}', OLD, videos=2)
  rows = prediction_files.read(path)
  assert rows.data == OLD
  assert rows.take(rows.va).without_labels().data == OLD


@pytest.mark.parametrize(
    ('data', 'difference'),
    [
        (NEW, 'faces_features/mae: labels of validation differ'),
        (OTHER, 'faces: labels of validation differ'),
    ],
)
def test_predictions_on_other_data_are_not_blended(tmp_path, data, difference):
  files = [
      written(tmp_path / 'a.npz', OLD, seed=0),
      written(tmp_path / 'b.npz', data, seed=1),
  ]
  with pytest.raises(errors.InputError, match=f'a.npz: {difference}; predict'):
    ensembles.make_ensemble(files, tmp_path / 'out.npz', resamples=100)
  with pytest.raises(errors.InputError, match=f'--predictions: {difference};'):
    ensembles.make_ensemble(
        files[:1], tmp_path / 'out.npz', tune_on=files[1:], resamples=100
    )
  assert not (tmp_path / 'out.npz').exists()


def test_other_features_of_the_same_frames_are_blended(tmp_path):
  files = [
      written(tmp_path / 'a.npz', OLD, seed=0),
      written(tmp_path / 'b.npz', SAME, seed=1),
  ]
  ensembles.make_ensemble(files, tmp_path / 'out.npz', resamples=100)
  assert prediction_files.read(tmp_path / 'out.npz').data == OLD | SAME
