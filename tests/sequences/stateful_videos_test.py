"""Stateful videos against loops that follow the published code of AIM3."""

import functools
import itertools
import pickle

import numpy as np
import pytest

from abaw_jax.data import pipeline, transforms
from abaw_jax.sequences import stateful_videos, video_groups
from tests.data import corpora

LENGTH = 4
VIDEOS = corpora.rows(
    {'a': 13, 'b': 4, 'c': 1, 'd': 22, 'e': 9, 'f': 16, 'g': 6}
)
FRAMES = {video: corpora.distinct(rows) for video, rows in VIDEOS.items()}
NAMES = tuple(FRAMES)
SIZES = tuple(len(frames['row']) for frames in FRAMES.values())
TRANSFORM = functools.partial(transforms.window_batch, length=LENGTH)


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  path = tmp_path_factory.mktemp('data')
  corpora.write_features(path, VIDEOS)
  return path


def plan(sizes=SIZES, *, rows=3, buckets=False, seed=None):
  return video_groups.Groups(
      sizes, rows=rows, length=LENGTH, buckets=buckets, seed=seed
  )


def make(data_dir, *, rows=3, buckets=False, **options):
  found = corpora.open_videos(data_dir, **options)
  return stateful_videos.StatefulVideos(found, plan(rows=rows, buckets=buckets))


def steps(found, start, stop):
  return [found.step(i) for i in range(start, stop)]


def published(order, rows=3, norm=None):
  """Yields the batches of an epoch as the published code does.

  Videos are grouped in order, padded to the longest, and cut into windows.
  """
  for first in range(0, len(order), rows):
    names = [NAMES[i] for i in order[first : first + rows]]
    longest = max(len(FRAMES[name]['row']) for name in names)
    padded = np.zeros((len(names), longest, 3))
    mask = np.zeros((len(names), longest), bool)
    row = np.zeros((len(names), longest), int)
    for i, name in enumerate(names):
      n = len(FRAMES[name]['row'])
      padded[i, :n] = corpora.row_features(FRAMES[name]['row'], 3)
      mask[i, :n] = True
      row[i, :n] = FRAMES[name]['row']
    if norm:
      padded = norm(padded)
    for start in range(0, longest, LENGTH):
      window = slice(start, min(start + LENGTH, longest))
      yield padded[:, window], mask[:, window], row[:, window], start == 0


def check(batches, expected, rows=3):
  """Compares batches with the published ones, padded to the same shape."""
  for batch, (features, mask, row, start) in zip(
      batches, expected, strict=True
  ):
    count, length = mask.shape
    for field, value in (
        ('features', features),
        ('frame_mask', mask),
        ('row', row),
    ):
      padded = np.zeros((rows, LENGTH, *value.shape[2:]), value.dtype)
      padded[:count, :length] = value
      np.testing.assert_allclose(
          batch[field], padded, rtol=1e-5, atol=1e-5, err_msg=field
      )
    np.testing.assert_array_equal(batch['real'], np.arange(rows) < count)
    np.testing.assert_array_equal(batch['start'], np.full(rows, start))
    np.testing.assert_array_equal(batch['window_length'], np.full(rows, length))


def unbiased(padded):
  """Normalizes over padded time, as AIM3 does; a std of 0 becomes 1."""
  mean = padded.mean(axis=1, keepdims=True)
  n = max(padded.shape[1] - 1, 1)
  std = np.sqrt(np.square(padded - mean).sum(axis=1, keepdims=True) / n)
  return (padded - mean) / np.where(std == 0, 1, std)


@pytest.mark.parametrize('norm', ['none', 'batch'])
def test_evaluation_equals_the_published_code_on_sorted_videos(data_dir, norm):
  found = list(
      pipeline.eval_batches(make(data_dir, norm=norm), TRANSFORM, batch_size=3)
  )
  order = range(len(NAMES))
  check(found, published(order, norm=unbiased if norm == 'batch' else None))


@pytest.mark.parametrize('norm', ['none', 'batch'])
def test_training_equals_the_published_code_on_shuffled_videos(data_dir, norm):
  source = make(data_dir, norm=norm)
  batches = pipeline.train_batches(source, TRANSFORM, batch_size=3, seed=5)
  orders = []
  for epoch in range(4):
    first, last = (
        source.for_training(5).num_examples(e) for e in (epoch, epoch + 1)
    )
    found = [next(batches) for _ in range((last - first) // 3)]
    order = [
        video
        for batch in found
        if batch['start'].all()
        for video in batch['video_id'][batch['real']].tolist()
    ]
    assert sorted(order) == list(range(len(NAMES)))
    check(found, published(order, norm=unbiased if norm == 'batch' else None))
    orders.append(tuple(order))
  batches.close()
  assert len(set(orders)) == 4


@pytest.mark.parametrize('buckets', [False, True])
@pytest.mark.parametrize('rows', [1, 2, 3, 8])
def test_an_epoch_contains_each_frame_once(data_dir, rows, buckets):
  source = make(data_dir, rows=rows, buckets=buckets)
  expected = np.concatenate([frames['row'] for frames in FRAMES.values()])
  for seed in (None, 3):
    examples = source if seed is None else source.for_training(seed)
    for epoch in range(3):
      first, last = (examples.num_examples(e) for e in (epoch, epoch + 1))
      seen = [examples[i]['row'] for i in range(first, last)]
      seen = np.sort(np.concatenate(seen))
      np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize('buckets', [False, True])
def test_a_row_continues_its_video_from_window_to_window(data_dir, buckets):
  source = make(data_dir, buckets=buckets).for_training(1)
  current = {}
  for index in range(source.num_examples(5)):
    example = source[index]
    update, row = divmod(index, 3)
    if example['start']:
      first, video = current[row] = update, int(example['video_id'])
    first, video = current[row]
    if not example['real']:
      assert not len(example['row'])
      continue
    assert example['video_id'] == video
    start = (update - first) * LENGTH
    np.testing.assert_array_equal(
        example['row'], FRAMES[NAMES[video]]['row'][start : start + LENGTH]
    )


def test_labels_and_padding_are_those_of_a_sequence_batch(data_dir):
  for batch in pipeline.eval_batches(make(data_dir), TRANSFORM, batch_size=3):
    for field in ('va', 'expr', 'au_mask', 'valence', 'au', 'features'):
      assert not batch[field][~batch['frame_mask']].any(), field
    for i, t in np.argwhere(batch['frame_mask'] & batch['expr']):
      frames = FRAMES[NAMES[batch['video_id'][i]]]
      at = frames['row'].tolist().index(batch['row'][i, t])
      assert batch['expression'][i, t] == frames['expression'][at]


@pytest.mark.parametrize('shard_count', [2, 4])
def test_each_host_reads_a_slice_of_the_rows(data_dir, shard_count):
  source = make(data_dir, rows=4, norm='batch')

  def read(**host):
    training = pipeline.train_batches(
        source, TRANSFORM, batch_size=4, seed=2, **host
    )
    batches = [next(training) for _ in range(25)]
    training.close()
    return batches + list(
        pipeline.eval_batches(source, TRANSFORM, batch_size=4, **host)
    )

  expected = read()
  parts = [
      read(shard_index=index, shard_count=shard_count)
      for index in range(shard_count)
  ]
  assert {len(part) for part in parts} == {len(expected)}
  for batch, *slices in zip(expected, *parts, strict=True):
    for field, value in batch.items():
      joined = np.concatenate([part[field] for part in slices])
      np.testing.assert_array_equal(joined, value, err_msg=field)


def test_training_resumes_from_a_state_in_a_copy(data_dir):
  source = make(data_dir, buckets=True, norm='video')

  def open_batches():
    # A worker process gets such a copy.
    copy = pickle.loads(pickle.dumps(source))
    assert repr(copy) == repr(source)
    return pipeline.train_batches(copy, TRANSFORM, batch_size=3, seed=3)

  batches = open_batches()
  for _ in range(17):
    next(batches)
  state = batches.get_state()
  expected = [next(batches) for _ in range(6)]
  batches.close()
  assert state == {'next_batch': 17}
  again = open_batches()
  again.set_state(state)
  for batch in expected:
    for field, value in next(again).items():
      np.testing.assert_array_equal(value, batch[field])
  again.close()


@pytest.mark.parametrize('buckets', [False, True])
@pytest.mark.parametrize('seed', [0, 7])
def test_steps_can_be_read_in_any_order(buckets, seed):
  sizes = np.random.default_rng(0).integers(1, 90, 37).tolist()
  found = plan(sizes, buckets=buckets, seed=seed)
  count = found.num_steps(6)
  expected = steps(found, 0, count)
  again = pickle.loads(pickle.dumps(plan(sizes, buckets=buckets, seed=seed)))
  for i in np.random.default_rng(1).permutation(count).tolist():
    assert again.step(i) == expected[i]


def test_num_steps_are_exact_when_epochs_differ():
  sizes = np.random.default_rng(0).integers(1, 90, 37).tolist()
  found = plan(sizes, seed=4)
  begins = [i for i, step in enumerate(steps(found, 0, 900)) if step.start == 0]
  # 13 groups of 3 in an epoch.
  ends = [begins[13 * epoch] for epoch in range(5)]
  assert [found.num_steps(epoch) for epoch in range(5)] == ends
  assert len(set(np.diff(ends))) > 1
  half = found.num_steps(2.5)
  assert half == ends[2] + round((ends[3] - ends[2]) / 2)
  assert found.num_steps(0) == 0


def test_buckets_need_fewer_steps_and_still_mix_videos():
  sizes = np.random.default_rng(0).geometric(1 / 60, 40).tolist()
  num_steps = {}
  for buckets in (False, True):
    found = plan(sizes, rows=8, buckets=buckets, seed=0)
    num_steps[buckets] = [
        found.num_steps(e + 1) - found.num_steps(e) for e in range(5)
    ]
  assert max(num_steps[True]) < 0.8 * min(num_steps[False])
  assert len(set(num_steps[True])) == 1
  # Videos of the same length form new groups in each epoch.
  found = plan([9] * 40, rows=8, buckets=True, seed=0)
  met = [
      frozenset(step.videos)
      for step in itertools.chain(steps(found, 0, 30))
      if step.start == 0
  ]
  assert len(met) == len(set(met)) == 10


def test_evaluation_with_buckets_starts_with_the_longest_video():
  found = plan(buckets=True)
  order = [
      video
      for step in steps(found, 0, found.num_steps(1))
      if step.start == 0
      for video in step.videos
      if video >= 0
  ]
  assert [SIZES[i] for i in order] == sorted(SIZES, reverse=True)
  assert found.step(0) == found.step(found.num_steps(1))
