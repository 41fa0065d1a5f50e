"""Scores against scikit-learn and NumPy."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk_metrics

from abaw_jax.core import labels
from abaw_jax.scoring import metrics


def _rows(n, seed=0):
  rng = np.random.default_rng(seed)
  target = rng.uniform(-1, 1, [2, n])
  pred = 0.6 * target + 0.2 + rng.normal(0, 0.3, [2, n])
  return {
      'valence': pred[0].astype(np.float32),
      'arousal': pred[1].astype(np.float32),
      'expression': rng.integers(0, 8, n),
      'au': rng.random([n, 12]) < 0.4,
      'target_valence': target[0].astype(np.float32),
      'target_arousal': target[1].astype(np.float32),
      'target_expression': rng.integers(0, 8, n, dtype=np.int32),
      'target_au': rng.integers(0, 2, [n, 12], dtype=np.int8),
      'va': rng.random(n) < 0.7,
      'expr': rng.random(n) < 0.6,
      'au_mask': rng.random([n, 12]) < 0.8,
  }


def _ccc(pred, target):
  pred, target = np.float64(pred), np.float64(target)
  cov = np.cov(pred, target, ddof=0)
  bias = pred.mean() - target.mean()
  return 2 * cov[0, 1] / (cov[0, 0] + cov[1, 1] + bias**2)


def _found(pred, target):
  pred, target = np.float64(pred), np.float64(target)
  return metrics.ccc(pred, target, np.ones(pred.shape, bool))


def test_scores_equal_sklearn_and_numpy():
  rows = _rows(500)
  scores = metrics.multi_task_scores(**rows)
  va, expr = rows['va'], rows['expr']
  for name in ('valence', 'arousal'):
    want = _ccc(rows[name][va], rows[f'target_{name}'][va])
    np.testing.assert_allclose(scores[f'CCC_{name}'], want, rtol=1e-12)
  f1_expression = sk_metrics.f1_score(
      rows['target_expression'][expr],
      rows['expression'][expr],
      labels=range(8),
      average=None,
  )
  f1_au = [
      sk_metrics.f1_score(rows['target_au'][m, i], rows['au'][m, i])
      for i, m in enumerate(rows['au_mask'].T)
  ]
  for name, want in zip(labels.EXPRESSIONS, f1_expression, strict=True):
    np.testing.assert_allclose(scores[f'F1_{name}'], want, rtol=1e-12)
  for name, want in zip(labels.AU_NAMES, f1_au, strict=True):
    np.testing.assert_allclose(scores[f'F1_{name}'], want, rtol=1e-12)
  want = {
      'VA': (scores['CCC_valence'] + scores['CCC_arousal']) / 2,
      'EXPR': np.mean(f1_expression),
      'AU': np.mean(f1_au),
  }
  for name, value in want.items():
    np.testing.assert_allclose(scores[name], value, rtol=1e-12)
  np.testing.assert_allclose(scores['P_MTL'], sum(want.values()), rtol=1e-12)
  assert scores['score'] == scores['P_MTL']
  np.testing.assert_allclose(
      scores['accuracy'],
      sk_metrics.accuracy_score(
          rows['target_expression'][expr], rows['expression'][expr]
      ),
      rtol=1e-12,
  )
  assert scores['n_va'] == va.sum()
  assert scores['n_expr'] == expr.sum()
  assert scores['n_au'] == rows['au_mask'].any(-1).sum()
  assert all(type(value) is float for value in scores.values())


def test_leading_axes_do_not_matter():
  rows = _rows(60)
  shaped = {k: v.reshape(5, 12, *v.shape[1:]) for k, v in rows.items()}
  flat = metrics.multi_task_scores(**rows)
  assert metrics.multi_task_scores(**shaped) == flat


def test_values_under_a_false_mask_do_not_matter():
  rows = _rows(80)
  dirty = {k: v.copy() for k, v in rows.items()}
  for name in ('valence', 'arousal', 'target_valence', 'target_arousal'):
    dirty[name][~rows['va']] = np.nan
  for name in ('expression', 'target_expression'):
    dirty[name][~rows['expr']] = -1
  dirty['target_au'][~rows['au_mask']] = -1
  want = metrics.multi_task_scores(**rows)
  assert metrics.multi_task_scores(**dirty) == want


def test_a_large_offset_does_not_cancel():
  rng = np.random.default_rng(0)
  target = rng.normal(size=1000)
  pred = target + rng.normal(size=1000)
  offset = 1e7
  found = _found(pred + offset, target + offset)
  np.testing.assert_allclose(found, _ccc(pred, target), rtol=1e-6)


@pytest.mark.parametrize('value', [0.0, 0.1, -1 / 3])
def test_ccc_of_constants(value):
  rng = np.random.default_rng(0)
  varied = rng.uniform(-1, 1, 7)
  constant = np.full(7, value)
  # Exactly 0: a rounding error in the mean would make 0/0 a 1.
  assert _found(constant, constant) == 0.0
  assert _found(constant, varied) == 0.0
  assert _found(varied, constant) == 0.0


def test_ccc_bounds():
  varied = np.linspace(-1, 1, 9)
  np.testing.assert_allclose(_found(varied, varied), 1.0, rtol=1e-15)
  np.testing.assert_allclose(_found(varied, -varied), -1.0, rtol=1e-15)
  assert _found([0.3], [0.3]) == 0.0
  assert _found([0.3], [0.4]) == 0.0


def test_absent_classes_count_zero():
  n = 4
  rows = _rows(n) | {
      'expression': np.array([0, 0, 1, 1]),
      'target_expression': np.array([0, 0, 1, 1]),
      'expr': np.ones(n, bool),
      'au': np.zeros([n, 12], bool),
      'target_au': np.zeros([n, 12], np.int8),
      'au_mask': np.ones([n, 12], bool),
  }
  rows['au'][:, 0] = rows['target_au'][:, 0] = True
  scores = metrics.multi_task_scores(**rows)
  assert scores['EXPR'] == 2 / 8
  assert scores['F1_Other'] == 0.0
  np.testing.assert_allclose(scores['AU'], 1 / 12)


def test_constant_prediction_of_one_class():
  target = np.repeat(np.arange(8), 5)
  counts = metrics.confusion(np.full(40, 3), target, np.ones(40, bool))
  want = sk_metrics.f1_score(
      target, np.full(40, 3), average=None, zero_division=0
  )
  np.testing.assert_allclose(metrics.class_f1(counts), want, rtol=1e-12)


def test_confusion_does_not_overflow_small_types():
  ids = np.full(3, 7, np.int8)
  assert metrics.confusion(ids, ids, np.ones(3, bool))[7, 7] == 3


def test_a_task_without_rows_is_nan_and_so_is_the_sum():
  empty = metrics.multi_task_scores(**_rows(0))
  numbers = {name for name in empty if name.startswith('n_')}
  assert all(empty[name] == 0 for name in numbers)
  assert all(math.isnan(empty[name]) for name in empty.keys() - numbers)

  rows = _rows(20)
  rows['expr'] = np.zeros(20, bool)
  scores = metrics.multi_task_scores(**rows)
  assert math.isnan(scores['EXPR'])
  assert math.isnan(scores['P_MTL'])
  assert math.isnan(scores['accuracy'])
  assert math.isfinite(scores['VA'])
  assert scores['score'] == scores['VA'] + scores['AU']


def test_aus_without_labels_are_left_out_of_their_mean():
  rows = _rows(200)
  rows['au_mask'][:, [4, 7, 11]] = False
  scores = metrics.multi_task_scores(**rows)
  known = [i for i in range(12) if i not in (4, 7, 11)]
  want = [
      sk_metrics.f1_score(
          rows['target_au'][rows['au_mask'][:, i], i],
          rows['au'][rows['au_mask'][:, i], i],
      )
      for i in known
  ]
  np.testing.assert_allclose(scores['AU'], np.mean(want), rtol=1e-12)
  assert math.isnan(scores['F1_AU26'])
  # The challenge needs all twelve.
  assert math.isnan(scores['P_MTL'])
  assert scores['score'] == scores['VA'] + scores['EXPR'] + scores['AU']


@pytest.mark.parametrize(
    ('field', 'mask', 'value', 'message'),
    [
        ('valence', 'va', np.nan, '1 of 9 .*predictions .* not finite'),
        ('target_arousal', 'va', np.inf, '1 of 9 .*labels .* not finite'),
        ('expression', 'expr', 8, '1 of 9 .*predictions outside 0..7'),
        ('target_expression', 'expr', -1, '1 of 9 .*labels outside 0..7'),
        ('target_au', 'au_mask', -1, '1 of 108 .*labels other than 0 and 1'),
    ],
)
def test_a_bad_value_that_counts_is_an_error(field, mask, value, message):
  rows = _rows(9)
  rows[mask] = np.ones_like(rows[mask])
  rows[field].flat[4] = value
  with pytest.raises(ValueError, match=message):
    metrics.multi_task_scores(**rows)
