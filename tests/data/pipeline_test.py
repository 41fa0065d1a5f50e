"""Batches of numbers: order, hosts, workers, resuming and padding."""

import functools
import itertools
import json
import os
import subprocess
import sys

import grain
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import pipeline, sources, transforms
from abaw_jax.sequences import windows
from tests.data import corpora, numbers

FRAME = functools.partial(transforms.frame_batch, image_size=24)

# Restores an iterator in a new process. Prints the next rows, whether JAX holds a
# device, and the frameworks that were imported.
_RESTORE = """
import functools, json, sys
from abaw_jax.data import pipeline, sources, transforms
import jax
data_dir, state, num_rows = sys.argv[1:]
batches = pipeline.train_batches(
    sources.Records(data_dir, 'toy', 'frames', 'train'),
    functools.partial(transforms.frame_batch, image_size=24),
    batch_size=20, seed=3)
batches.set_state(json.loads(state))
rows = []
while len(rows) < int(num_rows):
  rows += next(batches)['row'].tolist()
batches.close()
held = jax._src.xla_bridge.backends_are_initialized()
frameworks = [m for m in ('tensorflow', 'torch') if m in sys.modules]
print(json.dumps([rows, held, frameworks]))
"""


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
  data_dir = tmp_path_factory.mktemp('data')
  corpora.build_toy(data_dir, 'frames')
  return data_dir, sources.Records(data_dir, 'toy', 'frames', 'train')


def rows_of(batches, num_batches):
  return [next(batches)['row'].tolist() for _ in range(num_batches)]


def flat(lists):
  return [*itertools.chain(*lists)]


def train_rows(n, num_batches, **kwargs):
  batches = pipeline.train_batches(numbers.Numbers(n), numbers.batch, **kwargs)
  rows = rows_of(batches, num_batches)
  batches.close()
  return rows


def test_epochs_are_permutations_that_differ():
  rows = np.concatenate(train_rows(50, 30, batch_size=10, seed=0))
  epochs = rows.reshape(6, 50)
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
  assert len({tuple(epoch) for epoch in epochs}) == 6


def test_the_order_depends_only_on_the_seed():
  first = train_rows(50, 10, batch_size=10, seed=0)
  assert first == train_rows(50, 10, batch_size=10, seed=0)
  other = train_rows(50, 10, batch_size=10, seed=1)
  # The order differs, also from that of the next epoch.
  assert first[:5] != other[:5]
  assert first[5:] != other[:5]


@pytest.mark.parametrize('n', [1, 3, 14])
def test_a_source_smaller_than_a_batch_crosses_epochs(n):
  rows = np.concatenate(train_rows(n, 2, batch_size=7 * n, seed=0))
  for epoch in rows.reshape(14, n):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(n))


@pytest.mark.parametrize('shard_count', [2, 3])
def test_each_host_reads_a_slice_of_the_global_batch(shard_count):
  expected = train_rows(50, 12, batch_size=12, seed=5)
  parts = [
      train_rows(
          50,
          12,
          batch_size=12,
          seed=5,
          shard_index=index,
          shard_count=shard_count,
      )
      for index in range(shard_count)
  ]
  assert expected == [flat(batch) for batch in zip(*parts, strict=True)]


def test_the_batch_size_must_be_a_multiple_of_the_hosts():
  for make in (
      functools.partial(pipeline.train_batches, seed=0),
      pipeline.eval_batches,
  ):
    with pytest.raises(errors.InputError, match='batch_size 10 cannot be'):
      make(numbers.Numbers(5), numbers.batch, batch_size=10, shard_count=4)


def test_frame_batches_contain_the_records(frames):
  _, records = frames
  batches = pipeline.train_batches(records, FRAME, batch_size=14, seed=0)
  batch = next(batches)
  batches.close()
  assert batch['image'].shape == (14, 24, 24, 3)
  assert batch['image'].dtype == np.uint8
  by_row = {int(record['row']): record for record in records}
  for i, row in enumerate(batch['row'].tolist()):
    expected = FRAME([by_row.pop(row)], rows=1)
    for field, value in expected.items():
      np.testing.assert_array_equal(batch[field][i], value[0])
  assert not by_row


def test_a_new_process_resumes_from_the_state_without_a_device(frames):
  data_dir, records = frames
  batches = pipeline.train_batches(records, FRAME, batch_size=20, seed=3)
  rows_of(batches, 7)
  state = json.dumps(batches.get_state())
  expected = flat(rows_of(batches, 50))
  batches.close()
  found = subprocess.run(
      [
          sys.executable,
          '-c',
          _RESTORE,
          str(data_dir),
          state,
          '1000',
      ],
      capture_output=True,
      text=True,
  )
  assert found.returncode == 0, found.stderr
  assert json.loads(found.stdout) == [expected, False, []]


def test_a_running_iterator_can_go_back_to_a_state():
  batches = pipeline.train_batches(
      numbers.Numbers(50), numbers.batch, batch_size=8, seed=1
  )
  states, rows = [], []
  for _ in range(9):
    states.append(batches.get_state())
    rows += rows_of(batches, 1)
  for i in (4, 0, 8):
    batches.set_state(states[i])
    assert rows_of(batches, 9 - i) == rows[i:]
  batches.close()
  with pytest.raises(ValueError, match='closed'):
    next(batches)


def test_orbax_can_save_the_iterator():
  batches = pipeline.train_batches(
      numbers.Numbers(50), numbers.batch, batch_size=8, seed=1
  )
  rows_of(batches, 3)
  assert isinstance(batches, grain.DatasetIterator)
  assert json.loads(json.dumps(batches.get_state())) == {'next_batch': 3}
  batches.close()


def test_workers_hold_no_device_and_give_the_same_batches():
  batches = pipeline.train_batches(
      numbers.Numbers(50),
      numbers.batch_and_process,
      batch_size=8,
      seed=1,
      num_workers=2,
  )
  # The state points to a batch of the second worker.
  batches.set_state({'next_batch': 3})
  found = [next(batches) for _ in range(6)]
  batches.close()
  assert not any(batch['held'].any() for batch in found)
  pids = {int(pid) for batch in found for pid in batch['pid']}
  assert len(pids) == 2
  assert os.getpid() not in pids
  rows = [batch['row'].tolist() for batch in found]
  assert rows == train_rows(50, 9, batch_size=8, seed=1)[3:]


@pytest.mark.parametrize('num_workers', [0, 1])
def test_an_error_of_a_worker_names_the_example(num_workers):
  batches = pipeline.train_batches(
      numbers.Numbers(5),
      numbers.refuse,
      batch_size=1,
      seed=0,
      num_workers=num_workers,
  )
  with pytest.raises(errors.InputError, match=r'^number [0-4]: bad'):
    next(batches)
  batches.close()


class Damaged(numbers.Numbers):
  """Numbers of which number 4 cannot be read."""

  def __getitem__(self, index):
    if index == 4:
      raise errors.InputError('shard-0: record 4 of 5')
    return super().__getitem__(index)


def test_a_read_error_does_not_get_the_name_of_another_record():
  batches = pipeline.eval_batches(Damaged(5), numbers.batch, batch_size=4)
  assert next(iter(batches))['row'].tolist() == [0, 1, 2, 3]
  with pytest.raises(errors.InputError, match=r'^shard-0: record 4 of 5'):
    list(batches)


@pytest.mark.parametrize('n', [1, 8, 9, 17])
@pytest.mark.parametrize('shard_count', [1, 2, 4])
def test_evaluation_reads_every_example_once(n, shard_count):
  seen = []
  num_batches = set()
  for index in range(shard_count):
    batches = list(
        pipeline.eval_batches(
            numbers.Numbers(n),
            numbers.batch,
            batch_size=8,
            shard_index=index,
            shard_count=shard_count,
        )
    )
    num_batches.add(len(batches))
    for batch in batches:
      assert len(batch['row']) == 8 // shard_count
      assert not batch['row'][~batch['real']].any()
      seen += batch['row'][batch['real']].tolist()
  assert sorted(seen) == list(range(n))
  assert num_batches == {-(-n // 8)}
  if shard_count == 1:
    assert seen == list(range(n))


def test_padding_is_masked_and_batches_can_be_read_again(tmp_path):
  videos = corpora.rows({'a': 7, 'b': 2})
  corpora.write_features(tmp_path, videos)
  source = windows.Windows(corpora.open_videos(tmp_path), length=3, stride=3)
  batches = pipeline.eval_batches(
      source,
      functools.partial(transforms.window_batch, length=3),
      batch_size=2,
  )
  first, second = list(batches)
  np.testing.assert_array_equal(first['real'], [True, True])
  np.testing.assert_array_equal(second['real'], [True, False])
  for field, value in second.items():
    assert not value[1].any() or field == 'window_length', field
  rows = [batch['row'][batch['frame_mask']].tolist() for batch in batches]
  # Row 3 lists the frame of row 2 again.
  assert flat(rows) == [0, 1, 2, 4, 5, 6, 7, 8]
