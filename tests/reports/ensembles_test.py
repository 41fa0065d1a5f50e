"""The command `ensemble`: files, reports and refused input."""

import re

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import (
    postprocessing_files,
    smoothing,
    tuning,
)
from abaw_jax.reports import ensembles
from abaw_jax.scoring import prediction_files, predictions
from tests.scoring import rows as made

SETTINGS = tuning.Settings(
    candidates=(
        smoothing.Smoothing(),
        smoothing.Smoothing('mean', 'row', 5.0),
    )
)


def _renamed(rows, prefix):
  rows = rows.take(np.arange(len(rows)))
  names = np.array([prefix + name for name in rows.video])
  return predictions.Predictions(**vars(rows) | {'video': names})


@pytest.fixture
def files(tmp_path):
  """Writes validation and test predictions of two members."""
  for seed, name in enumerate('ab'):
    rows = made.make(seed=seed)
    prediction_files.write(tmp_path / f'{name}.npz', rows)
    test = _renamed(rows.take(rows.row < 200), 'test_')
    hidden = {
        field: np.zeros_like(getattr(test, field))
        for field in ('va', 'expr', 'au_mask')
    }
    test = predictions.Predictions(**vars(test) | hidden)
    prediction_files.write(tmp_path / f'{name}_test.npz', test)
  return tmp_path


def _run(folder, members, tune_on=(), **options):
  out = folder / 'out' / 'blend.npz'
  lines = ensembles.make_ensemble(
      [folder / name for name in members],
      out,
      tune_on=[folder / name for name in tune_on],
      settings=SETTINGS,
      groups=3,
      resamples=100,
      **options,
  )
  return lines, prediction_files.read(out)


def test_equal_weights_without_tuning(files):
  lines, rows = _run(files, ['a.npz', 'b.npz'])
  a, b = (prediction_files.read(files / f'{name}.npz') for name in 'ab')
  np.testing.assert_allclose(rows.valence, (a.valence + b.valence) / 2)
  score = rows.scores()['P_MTL']
  (written,) = [line for line in lines if line.startswith('written')]
  assert re.match(rf'written +{score:.4f} \[', written)


def test_tuned_parameters_are_applied_to_the_test_set(files):
  lines, rows = _run(files, ['a_test.npz', 'b_test.npz'], ['a.npz', 'b.npz'])
  assert 'no score: these rows have no labels' in lines
  stored = files / 'out' / 'blend.postprocessing.json'
  fitted = postprocessing_files.read(stored)
  members = [prediction_files.read(files / f'{n}_test.npz') for n in 'ab']
  want = fitted.apply(members)
  np.testing.assert_allclose(rows.au, want.au, rtol=1e-12)
  # The file gives the same result.
  _, again = _run(files, ['a_test.npz', 'b_test.npz'], stored=stored)
  np.testing.assert_array_equal(again.au, rows.au)


def test_tuned_rows_are_written_cross_fitted(files):
  lines, rows = _run(files, ['a.npz', 'b.npz'], ['a.npz', 'b.npz'])
  members = [prediction_files.read(files / f'{name}.npz') for name in 'ab']
  tuned = tuning.tune(members, SETTINGS, groups=3)
  crossed = tuned.cross_fitted.scores()['P_MTL']
  in_sample = tuned.in_sample.scores()['P_MTL']
  np.testing.assert_array_equal(rows.au, tuned.cross_fitted.au)
  text = '\n'.join(lines)
  optimism = in_sample - crossed
  assert f'is {in_sample:.4f}; {optimism:+.4f} of it is optimism' in text
  assert re.search(rf'3 groups cross-fitted +{crossed:.4f} \[', text)


def test_folds_are_joined_into_a_member(files):
  rows = prediction_files.read(files / 'a.npz')
  half = rows.video < 'video5'
  prediction_files.write(files / 'f0.parquet', rows.take(half))
  prediction_files.write(files / 'f1.csv', rows.take(~half))
  parts = ['f0.parquet', 'f1.csv']
  lines, found = _run(files, parts, join=True)
  assert lines[1] == f'part 2: {files}/f1.csv'
  back, order = np.argsort(found.row), np.argsort(rows.row)
  np.testing.assert_allclose(found.au[back], rows.au[order], rtol=1e-12)
  # Tuning on parts is tuning on all of their rows.
  _, found = _run(files, parts, parts, join=True)
  _, want = _run(files, ['a.npz'], ['a.npz'])
  back, order = np.argsort(found.row), np.argsort(want.row)
  np.testing.assert_allclose(found.au[back], want.au[order], rtol=1e-12)
  with pytest.raises(errors.InputError, match='occurs twice'):
    _run(files, ['a.npz', 'f1.csv'], join=True)


def test_an_unknown_format_is_refused_before_the_work(files):
  with pytest.raises(
      errors.InputError, match=r'blend.txt: unknown file format'
  ):
    ensembles.make_ensemble([files / 'none.npz'], files / 'blend.txt')


def test_files_that_do_not_go_together_are_refused(files):
  with pytest.raises(
      errors.InputError, match=r'has 1 members and .* has 2; give'
  ):
    _run(files, ['a.npz', 'b.npz'], ['a.npz'])
  rows = prediction_files.read(files / 'a.npz')
  prediction_files.write(files / 'part.npz', rows.take(rows.row < 100))
  with pytest.raises(
      errors.InputError, match='video0 is in --predictions and in'
  ):
    _run(files, ['part.npz'], ['a.npz'])
  for side in ('left', 'right'):
    halves = np.char.add(rows.video, f'_{side}')
    half = predictions.Predictions(**vars(rows) | {'video': halves})
    prediction_files.write(files / f'{side}.npz', half)
  with pytest.raises(errors.InputError, match='video0 is in --predictions'):
    _run(files, ['left.npz'], ['right.npz'])
  with pytest.raises(errors.InputError, match='have no labels'):
    _run(files, ['a.npz'], ['a_test.npz'])
