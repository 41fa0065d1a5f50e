"""Scores of predictions against scikit-learn, and messages for wrong values."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics as sk_metrics

from abaw_jax.core import errors
from abaw_jax.scoring import predictions
from tests.scoring import rows as made


def _ccc(pred, target):
  cov = np.cov(pred, target, ddof=0)
  bias = pred.mean() - target.mean()
  return 2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + bias**2)


@pytest.mark.parametrize('missing', [(), ('va',), ('expr',), ('va', 'au_mask')])
def test_scores_agree_with_sklearn_without_some_labels(missing):
  rows = made.make()
  gone = {name: np.zeros_like(getattr(rows, name)) for name in missing}
  rows = dataclasses.replace(rows, **gone)
  scores = rows.scores()
  want = {}
  if 'va' not in missing:
    m = rows.va
    v = _ccc(rows.valence[m], rows.target_valence[m])
    a = _ccc(rows.arousal[m], rows.target_arousal[m])
    want['VA'] = (v + a) / 2
  if 'expr' not in missing:
    want['EXPR'] = sk_metrics.f1_score(
        rows.target_expression[rows.expr],
        rows.expression[rows.expr].argmax(-1),
        labels=range(8),
        average='macro',
    )
  if 'au_mask' not in missing:
    m = rows.au_mask[:, 0]
    want['AU'] = sk_metrics.f1_score(
        rows.target_au[m], rows.au[m] >= 0.5, average='macro'
    )
  for name in ('VA', 'EXPR', 'AU'):
    value = want.get(name, np.nan)
    np.testing.assert_allclose(scores[name], value, rtol=1e-12)
  np.testing.assert_allclose(scores['score'], sum(want.values()), rtol=1e-12)


def test_the_predicted_expression_is_the_most_probable():
  rows = made.make(skill=3.0)
  right = rows.scores()['EXPR']
  flipped = dataclasses.replace(rows, expression=(1 - rows.expression) / 7)
  assert right > 0.6
  assert flipped.scores()['EXPR'] < 0.1


def test_parts_are_concatenated():
  rows = made.make()
  even = np.arange(len(rows)) % 2 == 0
  both = predictions.concatenate([rows.take(even), rows.take(~even)])
  back = np.argsort(both.row)
  order = np.argsort(rows.row)
  for name in predictions.SCHEMA:
    a, b = getattr(both, name), getattr(rows, name)
    np.testing.assert_array_equal(a[back], b[order])


@pytest.mark.parametrize(
    ('field', 'at', 'value', 'message'),
    [
        ('valence', 3, np.nan, 'valence is nan; expected a finite number'),
        ('arousal', 3, np.inf, 'arousal is inf; expected a finite number'),
        ('expression', (3, 1), -0.1, r'expr_Anger is -0.1; .* in \[0, 1\]'),
        ('expression', (3, 0), np.nan, r'expr_Neutral is nan; .* in \[0, 1\]'),
        ('au', (3, 2), 1.2, r'AU04 is 1.2; expected a probability in \[0, 1\]'),
        ('frame_id', 3, -4, 'frame is -4; expected a number from 0'),
    ],
)
def test_messages_name_wrong_values(field, at, value, message):
  rows = made.make()
  getattr(rows, field)[at] = value
  frame = '-4' if field == 'frame_id' else rows.frame_id[3]
  where = rf'a.npz: row {rows.row[3]} \(video {rows.video[3]}, frame {frame}\)'
  with pytest.raises(errors.InputError, match=f'{where}: {message}'):
    predictions.check(rows, 'a.npz')


@pytest.mark.parametrize(
    ('field', 'mask', 'sentinel', 'message'),
    [
        (
            'target_valence',
            'va',
            -5.0,
            'label_valence is -5.0; expected .-1, 1.',
        ),
        (
            'target_expression',
            'expr',
            -1,
            'label_expression is -1; expected 0..7',
        ),
        ('target_au', 'au_mask', -1, 'label_AU01 is -1; expected 0 or 1'),
    ],
)
def test_a_sentinel_is_no_label(field, mask, sentinel, message):
  rows = made.make()
  at = np.flatnonzero(getattr(rows, mask).reshape(len(rows), -1)[:, 0])[0]
  hidden = np.flatnonzero(~getattr(rows, mask).reshape(len(rows), -1)[:, 0])[0]
  getattr(rows, field)[hidden] = sentinel
  predictions.check(rows, 'a.npz')
  getattr(rows, field)[at] = sentinel
  with pytest.raises(errors.InputError, match=message):
    predictions.check(rows, 'a.npz')


def test_logits_repeats_and_empty_files_are_refused():
  rows = made.make()
  half = dataclasses.replace(rows, expression=rows.expression / 2)
  with pytest.raises(
      errors.InputError, match=r'sum of expr_.* expected 1: prob'
  ):
    predictions.check(half, 'a.npz')
  twice = rows.take(np.array([0, 1, 0]))
  with pytest.raises(errors.InputError, match='occurs twice'):
    predictions.check(twice, 'a.npz')
  with pytest.raises(errors.InputError, match='it has no rows'):
    predictions.check(rows.take(np.zeros(len(rows), bool)), 'a.npz')


def test_arrays_of_a_network_are_predictions_with_or_without_labels():
  rows = made.make()
  arrays = rows.to_rows() | {'video_id': np.zeros(len(rows), int)}
  found = predictions.Predictions.from_rows(arrays)
  assert found.scores() == rows.scores()
  outputs = {
      k: v for k, v in arrays.items() if k[:4] in ('pred', 'row', 'fram')
  }
  found = predictions.Predictions.from_rows(outputs)
  assert not found.labelled
  assert set(found.video) == {''}
  np.testing.assert_array_equal(found.au, rows.au)
  with pytest.raises(ValueError, match='it has no array arousal'):
    predictions.Predictions.from_rows(outputs | {'valence': arrays['valence']})
