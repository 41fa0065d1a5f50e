"""The command `predict_split`, on files of predictions."""

import dataclasses
import pathlib

import numpy as np
import pytest

from abaw_jax.challenge import files as challenge_files
from abaw_jax.core import errors
from abaw_jax.postprocessing import (
    adaptive_frame_rate,
    confidence_filter,
    postprocess,
    smoothing,
)
from abaw_jax.reports import predictions as report
from abaw_jax.scoring import prediction_files, predictions
from tests.scoring import rows as made


def write(path: pathlib.Path, rows: predictions.Predictions) -> pathlib.Path:
  prediction_files.write(path, rows)
  return path


def box(width=3):
  """Returns a postprocessing that smooths all tasks."""
  plain = postprocess.Postprocessing.equal_weights(1)
  one = smoothing.Smoothing('mean', 'row', width)
  windows = dict.fromkeys(plain.smoothing, one)
  return dataclasses.replace(plain, smoothing=windows)


@pytest.fixture
def files(tmp_path):
  rows = made.make(videos=4)
  unlabelled = rows.without_labels()
  return {
      'labelled': write(tmp_path / 'a.npz', rows),
      'test': write(tmp_path / 'test.npz', unlabelled),
      'second': write(tmp_path / 'second.npz', made.make(videos=4, seed=1)),
      'list': write_list(tmp_path / 'list.txt', rows),
  }


def write_list(path, rows):
  order = np.argsort(rows.row)
  names = zip(rows.video[order], rows.frame_id[order], strict=True)
  lines = [f'{video}/{frame:05d}.jpg,' for video, frame in names]
  path.write_text('\n'.join(['image,', *lines]) + '\n')
  return path


def test_members_are_blended_in_the_order_of_the_list(files):
  equal = postprocess.Postprocessing.equal_weights(2)
  rows = report.blend([files['labelled'], files['second']], equal)
  np.testing.assert_array_equal(rows.row, np.arange(len(rows)))
  parts = [
      prediction_files.read(files[name]) for name in ('labelled', 'second')
  ]
  means = np.mean([p.valence[np.argsort(p.row)] for p in parts], axis=0)
  np.testing.assert_allclose(rows.valence, means)


def test_the_adaptive_frame_rate_replaces_smoothing(files):
  options = report.FrameRate((6, 2, 1), (files['labelled'],), half=5, alpha=0.5)
  rows, lines = report.blend_adaptively([files['test']], box(), options)
  plain = report.blend(
      [files['labelled']], postprocess.Postprocessing.equal_weights(1)
  )
  plan = adaptive_frame_rate.fit(plain, (6, 2, 1), half=5, alpha=0.5)
  found = adaptive_frame_rate.apply(plain, plan)
  np.testing.assert_allclose(rows.expression, found.rows.expression)
  smoothed = report.blend([files['labelled']], box())
  np.testing.assert_allclose(rows.valence, smoothed.valence)
  text = '\n'.join(lines)
  assert f'{found.cost:.1%}' in text
  assert [x for x in ('adaptive', 'every 6 frames', 'every frame') if x not in text] == []  # fmt: skip
  assert 'F1' not in text  # the test split has no labels
  assert (
      'F1' in report.blend_adaptively([files['labelled']], box(), options)[1][3]
  )


def test_a_filter_smooths_both_networks(files):
  options = report.Filter(files['second'], 0.5)
  rows, lines = report.blend_filtered([files['labelled']], box(), options)
  both = [report.blend([files[k]], box()) for k in ('labelled', 'second')]
  expected = confidence_filter.apply(*both, 0.5)
  np.testing.assert_allclose(rows.expression, expected.expression)
  assert 'unfiltered' in lines[2]
  fitted = dataclasses.replace(
      options,
      threshold=None,
      fit_on=(files['labelled'],),
      second_fit_on=files['second'],
  )
  _, lines = report.blend_filtered([files['test']], box(), fitted)
  assert f'above {confidence_filter.fit(*both):.4f}' in lines[0]
  assert len(lines) == 1


def test_a_filter_ignores_labels_of_the_second_network(files, tmp_path):
  # Networks may read a repeated frame once or twice, with different labels.
  rows = prediction_files.read(files['second'])
  rows = dataclasses.replace(rows, expr=~rows.expr)
  other = write(tmp_path / 'other.npz', rows)
  found, _ = report.blend_filtered(
      [files['labelled']], box(), report.Filter(other, 0.5)
  )
  assert len(found) == len(rows)


def test_the_submission_has_every_row_of_the_list(files, tmp_path):
  rows = prediction_files.read(files['test'])
  fewer = rows.take(~np.isin(rows.row, [0, 7, 8]))
  message = report.write_submission(tmp_path / 'mtl.txt', files['list'], fewer)
  assert f'{len(rows)} rows as in the list' in message
  assert '3 of them interpolated' in message
  images, _ = challenge_files.read_submission(tmp_path / 'mtl.txt', 'mtl')
  assert images == challenge_files.read_list(files['list'])


def test_missing_predictions_can_be_an_error(files, tmp_path):
  rows = prediction_files.read(files['test'])
  fewer = rows.take(~np.isin(rows.row, [7, 8]))
  with pytest.raises(errors.InputError, match=r'2 of 160 rows .* row 7 '):
    report.write_submission(
        tmp_path / 'mtl.txt', files['list'], fewer, missing='error'
    )
  assert not (tmp_path / 'mtl.txt').exists()
  message = report.write_submission(
      tmp_path / 'mtl.txt', files['list'], rows, missing='error'
  )
  assert ' 0 of them interpolated' in message


def test_lsd_has_six_classes_and_no_interpolated_row(tmp_path):
  rows = made.make(videos=6, frames=1)
  rows.frame_id[:] = 0
  rows = rows.take(np.unique(rows.video, return_index=True)[1])
  rows = dataclasses.replace(rows, row=np.arange(len(rows)))
  (tmp_path / 'list').write_text('image,expression\n' + '\n'.join(rows.video))
  path = tmp_path / 'lsd.txt'
  message = report.write_submission(path, tmp_path / 'list', rows, task='lsd')
  assert f'{len(rows)} rows as in the list' in message
  _, codes = challenge_files.read_submission(path, 'lsd')
  np.testing.assert_array_equal(codes[:, 0], rows.expression[:, 1:7].argmax(-1))
  fewer = rows.take(rows.row != 4)
  with pytest.raises(errors.InputError, match='1 of 6 rows have no prediction'):
    report.write_submission(path, tmp_path / 'list', fewer, task='lsd')
