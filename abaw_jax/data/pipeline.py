"""Batches for training (endless and resumable) and for evaluation (exact).

This module does not use JAX, and worker processes must not use it either. Grain
imports JAX for its tree functions, but no JAX backend is initialized here, so a
worker holds no device.

A batch is a pure function of its index. The state of an iterator is therefore one
number, and training resumes with any number of workers or hosts.
"""

from collections.abc import Callable, Iterator
import contextlib
import functools
import multiprocessing
import os
import threading

import grain
import numpy as np

from abaw_jax.core import errors, failures
from abaw_jax.data import protocol

Batch = dict[str, np.ndarray]
Transform = Callable[..., Batch]

# Records that are read before the first of them is decoded. Alternating between
# reading and decoding is slower, because each pushes the other out of the cache.
_READ_AHEAD = 256
# Grain needs a length; no training reaches this number of batches.
_ENDLESS = 2**40


class TrainBatches(grain.DatasetIterator):
  """Iterator whose state is the index of the next batch."""

  def __init__(
      self,
      batches: grain.MapDataset,
      *,
      num_workers: int,
      read_threads: int,
  ):
    super().__init__()
    self._batches = batches
    self._read_options = _read_options(read_threads)
    self._worker_options = grain.MultiprocessingOptions(num_workers)
    self._next_batch = 0
    self._running = None
    self._has_started = False
    self._is_open = True

  def start_prefetch(self) -> None:
    """Starts the threads or workers that prepare the next batches."""
    if self._running is None:
      batches = self._batches[self._next_batch :]
      batches = batches.to_iter_dataset(self._read_options)
      self._running = iter(
          batches.mp_prefetch(self._worker_options, _end_with_parent)
      )
      self._running.start_prefetch()
      self._has_started = False

  def __next__(self) -> Batch:
    if not self._is_open:
      raise ValueError('the batches are closed')
    self.start_prefetch()
    if self._has_started:
      batch = next(self._running)
    else:
      with failures.hide_ctrl_c_from_workers():
        batch = next(self._running)  # the first call starts the workers
      self._has_started = True
    self._next_batch += 1
    return batch

  def get_state(self) -> dict[str, int]:
    return {'next_batch': self._next_batch}

  def set_state(self, state: dict[str, int]) -> None:
    self._stop()
    self._next_batch = state['next_batch']

  def close(self) -> None:
    self._stop()
    self._is_open = False
    super().close()

  def _stop(self) -> None:
    if self._running is not None:
      self._running.close()
      self._running = None


def train_batches(
    source: protocol.Source,
    transform: Transform,
    *,
    batch_size: int,
    seed: int,
    num_workers: int = 0,
    read_threads: int = 2,
    shard_index: int = 0,
    shard_count: int = 1,
) -> TrainBatches:
  """Returns an endless iterator over batches in the training order of a source.

  A batch may contain the end of one epoch and the start of the next. Host
  `shard_index` gets its slice of each global batch, so the global batches do not
  depend on the number of hosts.

  Args:
    source: examples; picklable.
    transform: function from an iterable of examples and `rows` to a batch with
      that many rows, see `transforms`; picklable.
    batch_size: examples in a global batch, over all hosts.
    seed: any integer from 0.
    num_workers: processes that prepare batches; 0 uses the calling process.
    read_threads: threads that prepare batches, in each process.
    shard_index: index of this host.
    shard_count: number of hosts.

  Raises:
    InputError: batch_size is not a multiple of `shard_count`.
  """
  load = _loader(
      source.for_training(seed),
      transform,
      batch_size=batch_size,
      num_examples=_ENDLESS * batch_size,
      shard_index=shard_index,
      shard_count=shard_count,
  )
  return TrainBatches(
      grain.MapDataset.range(_ENDLESS).map(load),
      num_workers=num_workers,
      read_threads=read_threads,
  )


def eval_batches(
    source: protocol.Source,
    transform: Transform,
    *,
    batch_size: int,
    read_threads: int = 2,
    shard_index: int = 0,
    shard_count: int = 1,
) -> grain.IterDataset:
  """Returns an iterable over all examples in order, each exactly once.

  The last batch is padded with zeros, where `real` and every other mask are
  False. All hosts get the same number of batches, even if one has only padding.
  The result can be iterated again. See `train_batches` for the arguments.

  Raises:
    InputError: batch_size is not a multiple of `shard_count`.
  """
  batches = _in_order(
      source,
      transform,
      batch_size=batch_size,
      shard_index=shard_index,
      shard_count=shard_count,
  )
  return batches.to_iter_dataset(_read_options(read_threads))


@contextlib.contextmanager
def ordered_batches(
    source: protocol.Source,
    transform: Transform,
    *,
    num_workers: int = 0,
    read_threads: int = 2,
    **options: int,
) -> Iterator[TrainBatches]:
  """Yields an iterator over the batches of `eval_batches`, with worker processes.

  It starts the workers and stops them. See `train_batches` for the arguments.
  """
  batches = TrainBatches(
      _in_order(source, transform, **options),
      num_workers=num_workers,
      read_threads=read_threads,
  )
  with contextlib.closing(batches):
    yield batches


def _read_options(read_threads: int) -> grain.ReadOptions:
  """Returns options with which each thread prepares one batch ahead."""
  return grain.ReadOptions(read_threads, prefetch_buffer_size=read_threads)


def _in_order(
    source: protocol.Source,
    transform: Transform,
    *,
    batch_size: int,
    shard_index: int,
    shard_count: int,
) -> grain.MapDataset:
  """Returns the batches of one pass over a source."""
  source = source.for_evaluation()
  load = _loader(
      source,
      transform,
      batch_size=batch_size,
      num_examples=len(source),
      shard_index=shard_index,
      shard_count=shard_count,
  )
  return grain.MapDataset.range(-(-len(source) // batch_size)).map(load)


def _end_with_parent(index: int, count: int) -> None:
  """Makes this worker process exit when its parent process is killed.

  Otherwise it would keep its memory. It would also keep the pipes open, so a
  process that waits for the output of the training would never finish.
  """
  del index, count

  def watch():
    multiprocessing.parent_process().join()
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()


def _loader(
    examples: protocol.TrainingExamples | protocol.Source,
    transform: Transform,
    *,
    batch_size: int,
    num_examples: int,
    shard_index: int,
    shard_count: int,
) -> Callable[[int], Batch]:
  """Returns a picklable function from the index of a batch to this host's rows."""
  if batch_size % shard_count:
    raise errors.InputError(
        f'batch_size {batch_size} cannot be divided among {shard_count} hosts; '
        f'choose a multiple of {shard_count}'
    )
  return functools.partial(
      _load,
      examples=examples,
      transform=transform,
      batch_size=batch_size,
      num_examples=num_examples,
      rows=batch_size // shard_count,
      shard_index=shard_index,
  )


def _load(
    index: int,
    *,
    examples: protocol.TrainingExamples | protocol.Source,
    transform: Transform,
    batch_size: int,
    num_examples: int,
    rows: int,
    shard_index: int,
) -> Batch:
  """Returns the rows of this host in batch `index`, padded to `rows`."""
  start = index * batch_size + shard_index * rows
  indices = range(start, min(start + rows, num_examples))
  if not indices:
    padded = transform([examples[0]], rows=rows + 1)
    return {field: value[1:] for field, value in padded.items()}
  batch = examples.batch(indices, rows=rows)
  if batch is not None:
    return batch
  current = None  # the example that the transform processes

  def read():
    nonlocal current
    for first in range(0, len(indices), _READ_AHEAD):
      ahead = indices[first : first + _READ_AHEAD]
      current = None  # an error of reading names its record itself
      found = [examples[i] for i in ahead]
      for i, example in zip(ahead, found, strict=True):
        current = i
        yield example

  try:
    return transform(read(), rows=rows)
  except errors.InputError as error:
    name = '' if current is None else examples.where(current)
    if not name:
      raise
    raise errors.InputError(f'{name}: {error}') from error
