"""Blends against closed forms, alignment, and the search for weights."""

import dataclasses

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.postprocessing import blending
from abaw_jax.scoring import predictions
from tests.scoring import rows as made


def _weights(*values):
  return dict.fromkeys(blending.TASKS, np.array(values))


def _members(count=2):
  return [made.make(seed=seed) for seed in range(count)]


def test_means_are_weighted():
  a, b = _members()
  found = blending.blend(
      [a, b], _weights(0.25, 0.75), expr='probabilities', au='probabilities'
  )
  for name in ('valence', 'arousal', 'expression', 'au'):
    want = 0.25 * getattr(a, name) + 0.75 * getattr(b, name)
    np.testing.assert_allclose(getattr(found, name), want, rtol=1e-12)


def test_logits_are_geometric_means():
  a, b = _members()
  found = blending.blend([a, b], _weights(0.25, 0.75))
  want = a.expression**0.25 * b.expression**0.75
  want /= want.sum(axis=-1, keepdims=True)
  np.testing.assert_allclose(found.expression, want, rtol=1e-9)
  odds = [m.au / (1 - m.au) for m in (a, b)]
  odds = odds[0] ** 0.25 * odds[1] ** 0.75
  np.testing.assert_allclose(found.au, odds / (1 + odds), rtol=1e-9)


def test_votes_are_counted_and_probabilities_break_ties():
  members = _members(3)
  kinds = {'expr': 'votes', 'au': 'votes'}
  found = blending.blend(members, _weights(0.4, 0.3, 0.3), **kinds)
  votes = np.stack([m.expression.argmax(-1) for m in members])
  agree = votes[1] == votes[2]
  want = np.where(agree, votes[1], votes[0])
  np.testing.assert_array_equal(found.expression.argmax(-1), want)
  majority = np.stack([m.au >= 0.5 for m in members]).sum(axis=0) >= 2
  np.testing.assert_array_equal(found.au >= 0.5, majority)
  tied = blending.blend(members[:2], _weights(0.5, 0.5), **kinds)
  mean = (members[0].au + members[1].au) / 2
  split = (members[0].au >= 0.5) != (members[1].au >= 0.5)
  assert split.any()
  np.testing.assert_array_equal((tied.au >= 0.5)[split], (mean >= 0.5)[split])


@pytest.mark.parametrize('kind', blending.EXPRESSIONS)
def test_one_member_keeps_its_decisions(kind):
  (rows,) = _members(1)
  found = blending.blend([rows], _weights(1.0), expr=kind, au=kind)
  np.testing.assert_array_equal(
      found.expression.argmax(-1), rows.expression.argmax(-1)
  )
  np.testing.assert_array_equal(found.au >= 0.5, rows.au >= 0.5)
  np.testing.assert_allclose(found.expression.sum(axis=-1), 1)


def test_each_task_has_its_own_weights():
  a, b = _members()
  weights = {
      'va': np.array([1.0, 0.0]),
      'expr': np.array([0.0, 1.0]),
      'au': np.array([1.0, 0.0]),
  }
  found = blending.blend([a, b], weights)
  np.testing.assert_allclose(found.valence, a.valence)
  np.testing.assert_allclose(found.expression, b.expression, rtol=1e-9)
  np.testing.assert_allclose(found.au, a.au, rtol=1e-9)


def test_rows_are_aligned_in_any_order():
  a, b = _members()
  mixed = b.take(np.random.default_rng(0).permutation(len(b)))
  _, back = blending.align([a, mixed], ['a', 'b'])
  np.testing.assert_array_equal(predictions.keys(back), predictions.keys(a))
  np.testing.assert_array_equal(back.valence, b.valence)


def test_messages_name_the_first_row_that_does_not_match():
  a, b = _members()
  where = rf'row {a.row[3]} \(video {a.video[3]}, frame {a.frame_id[3]}\)'
  short = b.take(np.arange(len(b)) != 3)
  with pytest.raises(errors.InputError, match=f'b: {where} of a is missing'):
    blending.align([a, short], ['a', 'b'])
  with pytest.raises(errors.InputError, match=f'b: {where} is not in a'):
    blending.align([short, a], ['a', 'b'])
  moved = b.take(np.arange(len(b)))
  moved.frame_id[3] += 100_000
  with pytest.raises(errors.InputError, match='is not in a'):
    blending.align([a, moved], ['a', 'b'])
  other = dataclasses.replace(b, target_au=1 - b.target_au)
  with pytest.raises(
      errors.InputError, match='its au_mask label differs from a'
  ):
    blending.align([a, other], ['a', 'b'])
  other = dataclasses.replace(b, expr=~b.expr)
  with pytest.raises(errors.InputError, match='its expr label differs from a'):
    blending.align([a, other], ['a', 'b'])


def test_labels_under_a_false_mask_may_differ():
  a, b = _members()
  other = dataclasses.replace(
      b, target_valence=np.where(b.va, b.target_valence, -5.0)
  )
  blending.align([a, other], ['a', 'b'])


@pytest.mark.parametrize('count', [1, 2, 3, 5])
def test_the_search_finds_the_maximum_of_a_quadratic(count):
  peak = np.random.default_rng(count).dirichlet(np.ones(count))

  def score(weights):
    return -float(np.sum((weights - peak) ** 2))

  found = blending.search(score, count)
  np.testing.assert_allclose(found.sum(), 1)
  assert (found >= 0).all()
  np.testing.assert_allclose(found, peak, atol=0.06)
  np.testing.assert_array_equal(found, blending.search(score, count))


def test_the_search_is_as_good_as_a_grid():
  rng = np.random.default_rng(0)
  target = rng.normal(size=300)
  members = target + rng.normal(size=[3, 300]) * np.array([[0.5], [1], [2]])

  def score(weights):
    return float(np.corrcoef(weights @ members, target)[0, 1])

  grid = [
      score(np.array([i, j, 20 - i - j]) / 20)
      for i in range(21)
      for j in range(21 - i)
  ]
  assert score(blending.search(score, 3)) >= max(grid) - 1e-3
