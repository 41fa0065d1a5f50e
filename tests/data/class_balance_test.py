"""Expressions come equally often, and nothing else changes."""

import collections
import pickle

import numpy as np
import pytest

from abaw_jax.data import class_balance
from abaw_jax.data import mixture
from abaw_jax.data import pipeline
from abaw_jax.data import sources
from tests.data import corpora

# Class 0 nine times, class 3 twice, class 7 once; three without a class.
EXPRESSION = [0] * 9 + [3] * 2 + [7] + [-1] * 3


class Numbers:
  """Record i is {'number': i}."""

  def __len__(self):
    return len(EXPRESSION)

  def __getitem__(self, index):
    return {'number': index}

  def where(self, index):
    return f'number {index}'


def to_batch(records, *, rows):
  numbers = [record['number'] for record in records]
  assert len(numbers) == rows
  return {'number': np.array(numbers)}


@pytest.fixture(name='source')
def _source():
  records = [
      {'expression': np.int32(x), 'expr': np.bool_(x >= 0)}
      for x in np.random.default_rng(0).permutation(EXPRESSION)
  ]
  return records, class_balance.balanced(Numbers(), records)


def draw(source, count, seed=0, batch_size=5):
  batches = pipeline.train_batches(
      source, to_batch, batch_size=batch_size, seed=seed
  )
  drawn = [next(batches)['number'] for _ in range(count // batch_size)]
  batches.close()
  return np.concatenate(drawn)


def test_expressions_come_equally_often(source):
  records, balanced = source
  epochs = 20
  drawn = draw(balanced, epochs * len(EXPRESSION))
  classes = collections.Counter(records[i]['expression'].item() for i in drawn)
  # 12 of 15 have a class: 4 of each in an epoch, and 3 without.
  for expression, share in {0: 4, 3: 4, 7: 4, -1: 3}.items():
    assert abs(classes[expression] - epochs * share) <= 4
  # Each part walks through epochs of its own.
  times = collections.Counter(drawn.tolist())
  own = [times[i] for i, r in enumerate(records) if r['expression'] == 0]
  assert max(own) - min(own) <= 1


def test_it_is_a_function_of_seed_and_index(source):
  _, balanced = source
  np.testing.assert_array_equal(
      draw(balanced, 60), draw(pickle.loads(pickle.dumps(balanced)), 60)
  )
  assert (draw(balanced, 60) != draw(balanced, 60, seed=1)).any()
  np.testing.assert_array_equal(
      draw(balanced, 60), draw(balanced, 60, batch_size=15)
  )


def test_positions_are_those_of_the_records(source):
  _, balanced = source
  numbers = [balanced[i]['number'] for i in range(len(balanced))]
  assert sorted(numbers) == list(range(len(EXPRESSION)))
  for i, number in enumerate(numbers):
    assert balanced.where(i) == f'number {number}'


def test_without_any_expression_it_is_the_order_by_size():
  records = [{'expression': np.int32(-1), 'expr': np.False_}] * 15
  drawn = draw(class_balance.balanced(Numbers(), records), 15)
  assert sorted(drawn.tolist()) == list(range(15))


def test_a_mixture_can_be_balanced(tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  toy = sources.Records(tmp_path, 'toy', 'frames', 'train')
  both = mixture.Mixture([toy, toy])
  balanced = class_balance.balanced(
      both, both.with_fields(*class_balance.FIELDS)
  )
  rows = np.concatenate([v['expression'] for v in corpora.Toy.videos.values()])
  missing = np.count_nonzero(rows < 0)
  classes = np.bincount(rows[rows >= 0])
  expected = (*classes[classes > 0], missing)
  assert balanced.sizes == tuple(2 * n for n in expected)
  assert balanced[0].keys() == toy[0].keys()
