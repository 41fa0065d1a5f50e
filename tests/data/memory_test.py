"""Batches from memory against batches from disk, bit for bit."""

import contextlib
import fractions
import functools
import itertools

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import (
    images,
    memory,
    mixture,
    pipeline,
    sampling,
    sources,
    transforms,
)
from tests.data import corpora

SQUARE = {'image_size': 20, 'resizing': images.Resizing('squash', 'bicubic')}
DECODE = functools.partial(transforms.decoded_columns, **SQUARE)
FRAME = functools.partial(transforms.frame_batch, **SQUARE)
IMAGE = functools.partial(transforms.image_batch, **SQUARE)


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  path = tmp_path_factory.mktemp('data')
  corpora.build_toy(path, 'frames')
  corpora.build_faces(path)
  return path


def frames(data_dir):
  return sources.Records(
      data_dir, 'toy', 'frames', 'train', fields=transforms.FRAME_FIELDS
  )


def balanced(data_dir):
  return sampling.ClassBalanced(frames(data_dir))


def mixed(data_dir):
  """Returns two datasets whose images have other sizes than the batches."""
  wild = sources.Records(data_dir, 'toy_faces', 'wild', 'validation')
  parts = [part.with_fields('image') for part in (frames(data_dir), wild)]
  weights = fractions.Fraction(1), fractions.Fraction(2)
  return mixture.Mixture(parts, weights=weights)


def filled(source, *, num_workers=0, **shards):
  """Returns the source in memory, and the numbers that `fill` counted."""
  held = memory.DecodedImages(source, DECODE, **shards)
  counts = []
  held.fill(counts.append, num_workers=num_workers, read_threads=2)
  assert sum(counts) == held.num_held
  return held


def assert_same(ours, theirs):
  assert ours.keys() == theirs.keys()
  for name, value in ours.items():
    assert value.dtype == theirs[name].dtype, name
    np.testing.assert_array_equal(value, theirs[name], name)


@pytest.mark.parametrize(
    ('make', 'transform'),
    [
        (frames, functools.partial(FRAME, probs=True)),
        (balanced, FRAME),
        (mixed, IMAGE),
    ],
)
def test_training_batches_are_those_from_disk_also_resumed(
    data_dir, make, transform
):
  source = make(data_dir)
  expected, found = (
      pipeline.train_batches(x, transform, batch_size=6, seed=2)
      for x in (source, filled(source))
  )
  with contextlib.closing(expected), contextlib.closing(found):
    for ours, theirs in itertools.islice(zip(found, expected, strict=True), 6):
      assert_same(ours, theirs)
    for batches in (found, expected):
      batches.set_state({'next_batch': 40})
    assert_same(next(found), next(expected))


def test_worker_processes_fill_the_same_memory(data_dir):
  source = frames(data_dir)
  held = filled(source, num_workers=1, batch_size=5)
  for ours, theirs in zip(held, filled(source), strict=True):
    assert_same(ours, theirs)


def test_training_does_not_read_the_disk(data_dir, monkeypatch):
  held = filled(frames(data_dir))
  monkeypatch.setattr(sources.Records, '__getitem__', None)
  assert len(list(held)) == 14
  assert held.num_bytes == sum(
      value.nbytes for record in held for value in record.values()
  )


def test_a_record_in_memory_cannot_be_changed(data_dir):
  with pytest.raises(ValueError, match='read-only'):
    filled(frames(data_dir))[0]['image'][:] = 0


class Noting(mixture.Mixture):
  """Records that note which of them are read."""

  def __getitem__(self, index):
    self.__dict__.setdefault('noted', set()).add(index)
    return super().__getitem__(index)


@pytest.mark.parametrize('batch_size', [4, 12, 32])
def test_each_host_holds_the_rows_that_it_evaluates(data_dir, batch_size):
  held = []
  for index in range(2):
    source = Noting([frames(data_dir)])
    host = {'batch_size': batch_size, 'shard_index': index, 'shard_count': 2}
    held.append(filled(source, **host))
    source.noted.clear()
    ours = list(pipeline.eval_batches(held[-1], FRAME, **host))
    assert source.noted <= {0}  # it has the shapes of a batch without rows
    theirs = pipeline.eval_batches(source, FRAME, **host)
    for one, other in zip(ours, theirs, strict=True):
      assert_same(one, other)
  assert sum(part.num_held for part in held) == len(frames(data_dir))


def test_a_broken_image_is_named_before_training(data_dir):
  source = sources.Records(
      data_dir, 'toy_faces', 'wild', 'train', fields=('image',)
  )
  broken = next(i for i, x in enumerate(source) if x['image'] == b'broken')
  assert broken
  with pytest.raises(
      errors.InputError, match=r'name id/106\.jpg: image cannot'
  ):
    filled(source)


def test_free_memory_respects_the_limit_of_a_control_group(
    tmp_path, monkeypatch
):
  free = memory.free_bytes()
  assert 1e8 < free < 1e14
  for name, value in (
      ('max', '5000000\n'),
      ('current', '3000000\n'),
      ('stat', 'anon 1\ninactive_file 700000\n'),
  ):
    (tmp_path / f'memory.{name}').write_text(value)
  monkeypatch.setattr(memory, '_CGROUPS', tmp_path)
  assert memory.free_bytes() == 2_700_000
  (tmp_path / 'memory.max').write_text('max\n')
  assert memory.free_bytes() == pytest.approx(free, rel=0.2)
