"""Reports of folds and seeds against direct computation."""

import dataclasses
import json

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import tuning
from abaw_jax.reports import crossvalidation
from abaw_jax.scoring import prediction_files, predictions
from tests.scoring import rows as made

STEPS = tuning.Settings(steps=('weights', 'thresholds'))
FOLDS = 3


@pytest.fixture
def found(tmp_path):
  """Returns (files by seed, predictions by seed, result)."""
  files, members = {}, {}
  for seed in (0, 4):
    rows = made.make(videos=9, seed=seed)
    fold = np.unique(rows.video, return_inverse=True)[1] % FOLDS
    files[seed] = [tmp_path / f'{seed}-{i}.npz' for i in range(FOLDS)]
    for i, path in enumerate(files[seed]):
      prediction_files.write(path, rows.take(fold == i))
    members[seed] = rows
  official = ['video1', 'video5']
  result = crossvalidation.summarize(
      files, official=official, settings=STEPS, groups=3, resamples=100
  )
  return files, members, result


def test_every_row_is_predicted_once(found):
  _, members, result = found
  keys = np.sort(predictions.keys(result.rows))
  np.testing.assert_array_equal(keys, np.sort(predictions.keys(members[0])))


def test_scores_of_single_runs_and_their_deviation(found):
  files, members, result = found
  content = result.content
  each = [
      prediction_files.read(path).scores()
      for paths in files.values()
      for path in paths
  ]
  for got, wanted in zip(content['single'].values(), each, strict=True):
    assert got['VA'] == pytest.approx(wanted['VA'])
  values = [one['EXPR'] for one in each]
  assert content['over_folds']['EXPR']['mean'] == pytest.approx(np.mean(values))
  assert content['over_folds']['EXPR']['std'] == pytest.approx(
      np.std(values, ddof=1)
  )
  totals = [one.scores()['P_MTL'] for one in members.values()]
  over = content['over_seeds']['P_MTL']
  assert over['mean'] == pytest.approx(np.mean(totals))
  assert over['std'] == pytest.approx(abs(np.subtract(*totals)) / np.sqrt(2))
  assert f'P_MTL {np.mean(totals):.4f} +-' in '\n'.join(result.lines)


def test_the_report_has_single_seeds_and_the_blend(found):
  _, members, result = found
  scores = result.content['scores']
  assert [*scores] == ['seed 0', 'seed 4', 'equal weights', 'calibrated']
  for seed, rows in members.items():
    value = scores[f'seed {seed}']['P_MTL']
    assert value['value'] == pytest.approx(rows.scores()['P_MTL'])
    assert value['low'] < value['value'] < value['high']
  calibrated = result.rows.scores()['P_MTL']
  assert scores['calibrated']['P_MTL']['value'] == pytest.approx(calibrated)
  # Tuned thresholds gain on held-out videos, but less than in sample.
  assert scores['equal weights']['P_MTL']['value'] < calibrated
  assert calibrated < result.content['in_sample']


def test_official_validation_is_scored_on_its_videos(found):
  _, _, result = found
  part = result.rows.take(np.isin(result.rows.video, ['video1', 'video5']))
  value = result.content['official_validation']['calibrated']['VA']['value']
  assert value == pytest.approx(part.scores()['VA'])


def test_folds_share_the_weight_of_their_seed(found):
  _, _, result = found
  fitted = result.postprocessing
  for weights in fitted.weights.values():
    assert weights.shape == (2 * FOLDS,)
    assert weights.sum() == pytest.approx(1)
    shared = weights.reshape(2, FOLDS)
    np.testing.assert_allclose(shared, shared[:, :1].repeat(FOLDS, 1))
  # All models together predict other rows.
  members = [made.make(videos=3, seed=i) for i in range(2 * FOLDS)]
  members = [predictions_in_order(member) for member in members]
  assert len(fitted.apply(members)) == len(members[0])


def predictions_in_order(rows):
  return rows.take(np.argsort(rows.row))


def test_the_report_is_json(found):
  _, _, result = found
  json.dumps(result.content, allow_nan=False)


def test_seeds_without_folds(tmp_path):
  path = tmp_path / 'a.npz'
  prediction_files.write(path, made.make(videos=6))
  result = crossvalidation.summarize({0: [path]}, settings=STEPS, groups=3)
  assert [*result.content['scores']] == ['seed 0', 'calibrated']
  assert result.content['over_seeds']['VA']['std'] is None
  assert 'over_folds' not in result.content
  np.testing.assert_array_equal(result.postprocessing.weights['va'], [1])


def test_a_task_without_labels_is_no_number(tmp_path):
  rows = made.make(videos=6)
  rows = dataclasses.replace(rows, au_mask=np.zeros_like(rows.au_mask))
  prediction_files.write(tmp_path / 'a.npz', rows)
  result = crossvalidation.summarize(
      {0: [tmp_path / 'a.npz']}, settings=STEPS, groups=3, resamples=100
  )
  assert 'no labels' in result.lines[1]
  assert 'nan' not in '\n'.join(result.lines)


def test_seeds_with_different_rows_are_refused(tmp_path):
  paths = []
  for seed, videos in ((0, 6), (1, 7)):
    paths.append(tmp_path / f'{seed}.npz')
    prediction_files.write(paths[-1], made.make(videos=videos, seed=seed))
  with pytest.raises(errors.InputError, match=r'seed 1: .* is not in seed 0'):
    crossvalidation.summarize({0: paths[:1], 1: paths[1:]}, groups=3)
