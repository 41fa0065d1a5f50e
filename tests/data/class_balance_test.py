"""Class-balanced sampling against counts of what is drawn."""

import collections
import pickle

import numpy as np
import pytest

from abaw_jax.data import class_balance, mixture, pipeline, sources
from tests.data import corpora, numbers

# Nine images of class 0, two of class 3, one of class 7, three without a label.
EXPRESSION = [0] * 9 + [3] * 2 + [7] + [-1] * 3


class Labelled(numbers.Numbers):
  """Numbers with the given expressions; -1 means no label."""

  def __init__(self, expressions):
    super().__init__(len(expressions))
    self.expressions = expressions

  def with_fields(self, *fields):
    assert fields == ('expression', 'expr')
    return [{'expression': x, 'expr': x >= 0} for x in self.expressions]


def to_batch(examples, *, rows):
  found = [example['number'] for example in examples]
  assert len(found) == rows
  return {'number': np.array(found)}


@pytest.fixture(name='source')
def _source():
  return Labelled(np.random.default_rng(0).permutation(EXPRESSION))


def draw(source, count, seed=0, batch_size=5):
  batches = pipeline.train_batches(
      source, to_batch, batch_size=batch_size, seed=seed
  )
  drawn = [next(batches)['number'] for _ in range(count // batch_size)]
  batches.close()
  return np.concatenate(drawn)


def test_expressions_are_drawn_equally_often(source):
  epochs = 20
  drawn = draw(class_balance.ClassBalanced(source), epochs * len(EXPRESSION))
  classes = collections.Counter(source.expressions[drawn].tolist())
  # 12 of 15 images have a class: an epoch draws 4 of each class and 3 others.
  for expression, share in {0: 4, 3: 4, 7: 4, -1: 3}.items():
    assert abs(classes[expression] - epochs * share) <= 4
  # The images of one class are drawn equally often, too.
  times = collections.Counter(drawn.tolist())
  of_class = [times[i] for i in np.flatnonzero(source.expressions == 0)]
  assert max(of_class) - min(of_class) <= 1


def test_the_order_is_a_function_of_the_seed(source):
  balanced = class_balance.ClassBalanced(source)
  np.testing.assert_array_equal(
      draw(balanced, 60), draw(pickle.loads(pickle.dumps(balanced)), 60)
  )
  assert (draw(balanced, 60) != draw(balanced, 60, seed=1)).any()
  np.testing.assert_array_equal(
      draw(balanced, 60), draw(balanced, 60, batch_size=15)
  )


def test_evaluation_and_messages_have_the_order_of_the_records(source):
  balanced = class_balance.ClassBalanced(source)
  batches = pipeline.eval_batches(balanced, to_batch, batch_size=5)
  found = np.concatenate([batch['number'] for batch in batches])
  np.testing.assert_array_equal(found, np.arange(len(EXPRESSION)))
  assert balanced.where(4) == 'number 4'
  examples = balanced.for_training(0)
  for i in range(len(EXPRESSION)):
    assert examples.where(i) == f'number {examples[i]["number"]}'
  assert examples.num_examples(2.5) == 2.5 * len(EXPRESSION)


def test_without_any_expression_the_images_are_drawn_equally_often():
  drawn = draw(class_balance.ClassBalanced(Labelled(np.full(15, -1))), 15)
  assert sorted(drawn.tolist()) == list(range(15))


def test_a_mixture_can_be_class_balanced(tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  toy = sources.Records(tmp_path, 'toy', 'frames', 'train')
  balanced = class_balance.ClassBalanced(mixture.Mixture([toy, toy]))
  assert len(balanced) == 2 * len(toy)
  examples = balanced.for_training(3)
  labels = np.concatenate(
      [v['expression'] for v in corpora.Toy.videos.values()]
  )
  drawn = collections.Counter(
      int(examples[i]['expression']) for i in range(10 * len(balanced))
  )
  missing = np.count_nonzero(labels < 0)
  assert abs(drawn.pop(-1) - 10 * 2 * missing) <= len(drawn)
  assert drawn.keys() == set(labels[labels >= 0].tolist())
  assert max(drawn.values()) - min(drawn.values()) <= len(drawn)
