"""The confidence filter against a loop over rows."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics

from abaw_jax.core import errors
from abaw_jax.postprocessing import confidence_filter
from tests.scoring import rows as made


def pair(skill=2.0):
  """Returns predictions of two networks for the same rows."""
  return made.make(videos=3), made.make(videos=3, seed=1, skill=skill)


@pytest.mark.parametrize('threshold', [0.0, 0.4, 0.8, 1.0])
def test_the_second_network_decides_confident_rows(threshold):
  rows, second = pair()
  found = confidence_filter.apply(rows, second, threshold)
  for i in range(len(rows)):
    named = second.expression[i, :7]
    wins = named.max() > threshold
    expected = np.argmax(named if wins else rows.expression[i])
    assert np.argmax(found.expression[i]) == expected
    if not wins:
      np.testing.assert_array_equal(found.expression[i], rows.expression[i])
  np.testing.assert_allclose(found.expression.sum(axis=-1), 1)
  np.testing.assert_array_equal(found.valence, rows.valence)


def test_other_never_replaces_an_expression():
  rows, second = pair()
  other = np.eye(8)[np.full(len(rows), 7)] * 0.6 + 0.05
  found = confidence_filter.apply(
      rows, dataclasses.replace(second, expression=other), 0.0
  )
  assert not np.any(np.argmax(found.expression, axis=-1) == 7)


@pytest.mark.parametrize('skill', [0.0, 1.0, 3.0])
def test_the_threshold_has_the_best_f1(skill):
  rows, second = pair(skill)

  def f1(threshold):
    pred = np.argmax(
        confidence_filter.apply(rows, second, threshold).expression, -1
    )
    return metrics.f1_score(
        rows.target_expression[rows.expr],
        pred[rows.expr],
        labels=np.arange(8),
        average='macro',
        zero_division=0,
    )

  edges = np.unique(second.expression[rows.expr, :7].max(axis=-1))
  candidates = [0.0, *(edges[1:] + edges[:-1]) / 2, 1.0]
  best = max(map(f1, candidates))
  found = confidence_filter.fit(rows, second)
  np.testing.assert_allclose(f1(found), best, rtol=1e-12)
  # Of equally good thresholds the highest is chosen: it replaces least.
  assert all(f1(c) < best for c in candidates if c > found + 1e-9)


def test_a_bad_second_network_replaces_nothing():
  rows, _ = pair()
  assert confidence_filter.fit(rows, dataclasses.replace(rows, expression=(
      rows.expression[:, [7, 0, 1, 2, 3, 4, 5, 6]]
  ) ** 8 / (rows.expression ** 8).sum(-1, keepdims=True))) > 0.9  # fmt: skip


def test_the_threshold_needs_labels():
  rows, second = pair()
  rows = dataclasses.replace(rows, expr=np.zeros_like(rows.expr))
  with pytest.raises(errors.InputError, match='training split'):
    confidence_filter.fit(rows, second)
