"""Postprocessing applies its steps in order, and files restore it."""

import dataclasses
import json
import re

import numpy as np
import pytest

from abaw_jax.core import errors, labels
from abaw_jax.postprocessing import (
    calibration,
    postprocess,
    postprocessing_files,
    smoothing,
    thresholds,
)
from abaw_jax.scoring import predictions
from tests.core import disks
from tests.scoring import rows as made


def _example():
  return postprocess.Postprocessing(
      weights={
          'va': np.array([0.3, 0.7]),
          'expr': np.array([1.0, 0.0]),
          'au': np.array([0.0, 1.0]),
      },
      smoothing={
          'va': smoothing.Smoothing('gaussian', 'frame', 12.5, 10),
          'expr': smoothing.Smoothing('median', 'row', 2.0),
          'au': smoothing.Smoothing('mean', 'row', 3.0),
      },
      bias=np.linspace(-1, 1, 8),
      thresholds=np.linspace(0.1, 0.9, 12),
      expr='probabilities',
      au='probabilities',
  )


def test_blend_then_smooth_then_calibrate():
  a, b = made.make(seed=0), made.make(seed=1)
  found = _example().apply([a, b])
  timeline = smoothing.Timeline.from_rows(a)
  va = 0.3 * a.valence + 0.7 * b.valence
  want = smoothing.smooth(va[:, None], timeline, _example().smoothing['va'])[
      :, 0
  ]
  np.testing.assert_allclose(found.valence, want, rtol=1e-12)
  au = smoothing.smooth(b.au, timeline, _example().smoothing['au'])
  np.testing.assert_allclose(
      found.au, thresholds.apply(au, _example().thresholds)
  )
  np.testing.assert_array_equal(found.au >= 0.5, au >= _example().thresholds)
  expression = smoothing.smooth(
      a.expression, timeline, _example().smoothing['expr']
  )
  expression /= expression.sum(axis=-1, keepdims=True)
  want = calibration.apply(expression, _example().bias)
  np.testing.assert_allclose(found.expression, want, rtol=1e-9)
  predictions.check(found, 'found')
  np.testing.assert_array_equal(found.row, a.row)


def test_equal_weights_of_one_member_change_nothing():
  rows = made.make()
  found = postprocess.Postprocessing.equal_weights(1).apply([rows])
  for name in ('valence', 'arousal', 'expression', 'au'):
    np.testing.assert_allclose(
        getattr(found, name), getattr(rows, name), rtol=1e-9
    )


def test_a_row_does_not_change_if_all_medians_are_0():
  rows = made.make(videos=1, frames=3)
  certain = dataclasses.replace(rows, expression=np.eye(8)[:3])
  windows = postprocess.Postprocessing.equal_weights(1).smoothing | {
      'expr': smoothing.Smoothing('median', 'row', 5.0)
  }
  found = postprocess.smooth(certain, windows)
  np.testing.assert_array_equal(found.expression, certain.expression)


def test_a_file_restores_the_postprocessing(tmp_path):
  path = tmp_path / 'p.json'
  postprocessing_files.write(path, _example())
  back = postprocessing_files.read(path)
  members = [made.make(seed=0), made.make(seed=1)]
  a, b = (
      postprocessing.apply(members) for postprocessing in (_example(), back)
  )
  for name in ('valence', 'arousal', 'expression', 'au'):
    np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
  content = json.loads(path.read_text())
  assert content['version'] == 1
  assert content['smoothing']['va']['rows'] == 10
  # Files of earlier versions have no `rows`.
  del content['smoothing']['au']['rows']
  path.write_text(json.dumps(content))
  assert postprocessing_files.read(path).smoothing == _example().smoothing
  assert list(content['thresholds']) == list(labels.AU_NAMES)
  assert list(content['bias']) == list(labels.EXPRESSIONS)


def test_an_interrupted_write_keeps_the_old_file(tmp_path):
  path = tmp_path / 'p.json'
  path.write_text('old')
  with disks.full(100), pytest.raises(errors.InputError, match='cannot write'):
    postprocessing_files.write(path, _example())
  assert ([*tmp_path.iterdir()], path.read_text()) == ([path], 'old')


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        ('version', 2, 'version is 2; expected one of 1'),
        (
            'weights.va',
            [0.5, 0.6],
            'weights.va is .0.5, 0.6.; expected the sum 1',
        ),
        (
            'weights.au',
            [1.0],
            'weights.au is .1.0.; expected one number for each',
        ),
        (
            'weights.expr',
            [1.5, -0.5],
            'weights.expr.0 is 1.5; expected .* in .0, 1.',
        ),
        ('blend.au', 'sum', "blend.au is 'sum'; expected one of logits"),
        (
            'smoothing.va.kind',
            'box',
            "smoothing.va.kind is 'box'; expected one of",
        ),
        (
            'smoothing.va.width',
            0,
            'smoothing.va.width is .*0.0.*; expected more than 0',
        ),
        (
            'smoothing.au.width',
            -1,
            'smoothing.au.width is -1; expected a number',
        ),
        (
            'smoothing.au',
            3,
            'smoothing.au is 3; expected the keys kind, by, width, rows',
        ),
        (
            'smoothing.va.rows',
            2.5,
            'smoothing.va.rows is 2.5; expected a whole number in 0..1000000',
        ),
        ('smoothing.va.rows', -1, 'smoothing.va.rows is -1; expected a whole'),
        ('smoothing.va.width', True, 'smoothing.va.width is True; expected'),
        ('smoothing.va.width', 10**400, 'smoothing.va.width is 10*; expected'),
        ('bias.Anger', None, 'bias.Anger is None; expected a number'),
        ('bias', {}, 'bias is {}; expected the keys Neutral, Anger'),
        (
            'thresholds.AU01',
            1.0,
            'thresholds.AU01 is 1.0; expected a number in',
        ),
    ],
)
def test_messages_name_wrong_values_of_a_file(tmp_path, path, value, message):
  file = tmp_path / 'p.json'
  postprocessing_files.write(file, _example())
  content = json.loads(file.read_text())
  *sections, key = path.split('.')
  section = content
  for name in sections:
    section = section[name]
  section[key] = value
  file.write_text(json.dumps(content))
  with pytest.raises(errors.InputError, match=f'p.json: {message}'):
    postprocessing_files.read(file)


def test_missing_files_and_other_formats_are_refused(tmp_path):
  with pytest.raises(errors.InputError, match='there is no such file'):
    postprocessing_files.read(tmp_path / 'p.json')
  for text in ('{', '[]'):
    (tmp_path / 'p.json').write_text(text)
    with pytest.raises(errors.InputError, match=re.escape('p.json: ')):
      postprocessing_files.read(tmp_path / 'p.json')
  with pytest.raises(errors.InputError, match='Is a directory'):
    postprocessing_files.read(tmp_path)


def test_another_number_of_members_is_refused():
  with pytest.raises(
      errors.InputError, match='blends 2 members, but 1 are given'
  ):
    _example().apply([made.make()])
