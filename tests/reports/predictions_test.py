"""What `predict` makes of files of predictions."""

import dataclasses
import pathlib

import numpy as np
import pytest

from abaw_jax.challenge import files as challenge_files
from abaw_jax.core import errors
from abaw_jax.postprocessing import (
    adaptive_frame_rate,
    confidence_filter,
    pipeline,
    smoothing,
)
from abaw_jax.reports import predictions as predict
from abaw_jax.scoring import prediction_files, predictions
from tests.scoring import rows as made


def write(path: pathlib.Path, rows: predictions.Predictions) -> pathlib.Path:
  prediction_files.write(path, rows)
  return path


def box(width=3):
  """Returns a postprocessing that smooths everything."""
  how = pipeline.Postprocessing.plain(1)
  one = smoothing.Smoothing('mean', 'row', width)
  return dataclasses.replace(how, smoothing=dict.fromkeys(how.smoothing, one))


@pytest.fixture
def files(tmp_path):
  rows = made.make(videos=4)
  unlabelled = predict._unlabelled(rows)
  return {
      'labelled': write(tmp_path / 'a.npz', rows),
      'test': write(tmp_path / 'test.npz', unlabelled),
      'sure': write(tmp_path / 'sure.npz', made.make(videos=4, seed=1)),
      'list': write_list(tmp_path / 'list.txt', rows),
  }


def write_list(path, rows):
  order = np.argsort(rows.row)
  names = zip(rows.video[order], rows.frame_id[order], strict=True)
  lines = [f'{video}/{frame:05d}.jpg,' for video, frame in names]
  path.write_text('\n'.join(['image,', *lines]) + '\n')
  return path


def test_members_are_blended_in_the_order_of_the_list(files):
  how = pipeline.Postprocessing.plain(2)
  rows = predict.blend([files['labelled'], files['sure']], how)
  np.testing.assert_array_equal(rows.row, np.arange(len(rows)))
  parts = [prediction_files.read(files[name]) for name in ('labelled', 'sure')]
  means = np.mean([p.valence[np.argsort(p.row)] for p in parts], axis=0)
  np.testing.assert_allclose(rows.valence, means)


def test_an_adaptive_rate_takes_the_place_of_smoothing(files):
  wanted = predict.Frames((6, 2, 1), (files['labelled'],), half=5, alpha=0.5)
  rows, lines = predict.adapt([files['test']], box(), wanted)
  plain = predict.blend([files['labelled']], pipeline.Postprocessing.plain(1))
  plan = adaptive_frame_rate.fit(plain, (6, 2, 1), half=5, alpha=0.5)
  found = adaptive_frame_rate.apply(plain, plan)
  np.testing.assert_allclose(rows.expression, found.rows.expression)
  smoothed = predict.blend([files['labelled']], box())
  np.testing.assert_allclose(rows.valence, smoothed.valence)
  text = '\n'.join(lines)
  assert f'{found.cost:.1%}' in text
  assert [x for x in ('adaptive', 'every 6 frames', 'every frame') if x not in text] == []  # fmt: skip
  assert 'F1' not in text  # the test split has no labels
  assert 'F1' in predict.adapt([files['labelled']], box(), wanted)[1][3]


def test_a_filter_smooths_both_alike(files):
  wanted = predict.Filter(files['sure'], 0.5)
  rows, lines = predict.filtered([files['labelled']], box(), wanted)
  both = [predict.blend([files[k]], box()) for k in ('labelled', 'sure')]
  expected = confidence_filter.apply(*both, 0.5)
  np.testing.assert_allclose(rows.expression, expected.expression)
  assert 'unfiltered' in lines[1]
  fitted = dataclasses.replace(
      wanted,
      threshold=None,
      fit_on=(files['labelled'],),
      sure_fit_on=files['sure'],
  )
  _, lines = predict.filtered([files['test']], box(), fitted)
  assert f'more than {confidence_filter.fit(*both):.4f}' in lines[0]
  assert len(lines) == 1


def test_a_filter_minds_no_labels_of_the_other_network(files, tmp_path):
  # One reads a repeated frame as two, with labels of its own.
  rows = prediction_files.read(files['sure'])
  rows = dataclasses.replace(rows, expr=~rows.expr)
  other = write(tmp_path / 'other.npz', rows)
  found, _ = predict.filtered(
      [files['labelled']], box(), predict.Filter(other, 0.5)
  )
  assert len(found) == len(rows)


def test_no_line_of_the_list_is_left_out(files, tmp_path):
  rows = prediction_files.read(files['test'])
  fewer = rows.take(~np.isin(rows.row, [0, 7, 8]))
  said = predict.write_submission(tmp_path / 'mtl.txt', files['list'], fewer)
  assert f'{len(rows)} rows as in the list' in said
  assert '3 of them interpolated' in said
  images, _ = challenge_files.read_submission(tmp_path / 'mtl.txt', 'mtl')
  assert images == challenge_files.read_list(files['list'])


def test_lines_that_were_not_predicted_can_be_an_error(files, tmp_path):
  rows = prediction_files.read(files['test'])
  fewer = rows.take(~np.isin(rows.row, [7, 8]))
  with pytest.raises(errors.InputError, match=r'2 of 160 rows .* row 7 '):
    predict.write_submission(
        tmp_path / 'mtl.txt', files['list'], fewer, missing='error'
    )
  assert not (tmp_path / 'mtl.txt').exists()
  said = predict.write_submission(
      tmp_path / 'mtl.txt', files['list'], rows, missing='error'
  )
  assert ' 0 of them interpolated' in said
