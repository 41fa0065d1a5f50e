"""Class-balanced sampling against counts of drawn images; shares of the videos."""

import collections
import pickle

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import image_sources, mixture, pipeline, sampling, sources
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
  drawn = draw(sampling.ClassBalanced(source), epochs * len(EXPRESSION))
  classes = collections.Counter(source.expressions[drawn].tolist())
  # 12 of 15 images have a class: an epoch draws 4 of each class and 3 others.
  for expression, share in {0: 4, 3: 4, 7: 4, -1: 3}.items():
    assert abs(classes[expression] - epochs * share) <= 4
  # The images of one class are drawn equally often, too.
  times = collections.Counter(drawn.tolist())
  of_class = [times[i] for i in np.flatnonzero(source.expressions == 0)]
  assert max(of_class) - min(of_class) <= 1


def test_the_order_is_a_function_of_the_seed(source):
  balanced = sampling.ClassBalanced(source)
  np.testing.assert_array_equal(
      draw(balanced, 60), draw(pickle.loads(pickle.dumps(balanced)), 60)
  )
  assert (draw(balanced, 60) != draw(balanced, 60, seed=1)).any()
  np.testing.assert_array_equal(
      draw(balanced, 60), draw(balanced, 60, batch_size=15)
  )


def test_evaluation_and_messages_have_the_order_of_the_records(source):
  balanced = sampling.ClassBalanced(source)
  batches = pipeline.eval_batches(balanced, to_batch, batch_size=5)
  found = np.concatenate([batch['number'] for batch in batches])
  np.testing.assert_array_equal(found, np.arange(len(EXPRESSION)))
  assert balanced.where(4) == 'number 4'
  examples = balanced.for_training(0)
  for i in range(len(EXPRESSION)):
    assert examples.where(i) == f'number {examples[i]["number"]}'
  assert examples.num_examples(2.5) == 2.5 * len(EXPRESSION)


def test_without_any_expression_the_images_are_drawn_equally_often():
  drawn = draw(sampling.ClassBalanced(Labelled(np.full(15, -1))), 15)
  assert sorted(drawn.tolist()) == list(range(15))


def test_a_mixture_can_be_class_balanced(tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  toy = sources.Records(tmp_path, 'toy', 'frames', 'train')
  balanced = sampling.ClassBalanced(mixture.Mixture([toy, toy]))
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


class Frames(numbers.Numbers):
  """Twenty videos of three frames; a frame is its number."""

  def __init__(self):
    super().__init__(60)

  def names(self, rows):
    del rows
    return {'video': np.array([f'v{i // 3}' for i in range(60)])}

  def with_fields(self, *fields):
    assert fields == ('number',)
    return self


def test_whole_videos_are_drawn_and_larger_shares_have_the_smaller_ones():
  drawn = {
      share: sampling.VideoShare(Frames(), share, seed=3)
      for share in (0.01, 0.25, 0.3, 1.0)
  }
  for share, count in {0.01: 1, 0.25: 5, 0.3: 6, 1.0: 20}.items():
    found = [record['number'] for record in drawn[share]]
    videos = {number // 3 for number in found}
    assert len(videos) == count
    assert found == [n for n in range(60) if n // 3 in videos]
    labels = drawn[share].with_fields('number')
    assert [labels[i]['number'] for i in range(len(labels))] == found
    names = drawn[share].names({})['video'].tolist()
    assert names == [f'v{n // 3}' for n in found]
  assert set(drawn[0.25].videos) < set(drawn[0.3].videos)
  other = sampling.VideoShare(Frames(), 0.25, seed=4)
  assert set(other.videos) != set(drawn[0.25].videos)


def test_training_reads_the_share(tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  data = {
      'name': 'toy', 'dir': str(tmp_path), 'weights': '', 'validation': '',
      'class_balance': 'none', 'expression_targets': 'majority',
      'video_share': 0.5, 'share_seed': 0,
  }  # fmt: skip
  source = image_sources.frame_source(data, 'train')
  assert len(source) in (9, 5)  # one of the two videos
  assert len(image_sources.frame_source(data | {'video_share': 1.0}, 'train')) == 14  # fmt: skip
  with pytest.raises(errors.InputError, match='name one, or set the share'):
    image_sources.frame_source(data | {'name': 'toy,toy'}, 'train')


def test_single_images_are_refused(tmp_path):
  corpora.build_faces(tmp_path)
  source = sources.Records(tmp_path, 'toy_faces', 'wild', 'train')
  with pytest.raises(errors.InputError, match='not from videos'):
    sampling.VideoShare(source, 0.5, seed=0)
