"""Batches for training (endless, resumable) and for evaluation (exact).

Nothing here imports JAX, and neither may worker processes use it. Grain itself
imports JAX for its tree functions, which cannot be avoided, but no JAX backend
is ever initialised here: a worker holds no device.

A batch is a pure function of its index, so the state of an iterator is a single
number, which resumes with any number of workers or hosts.
"""

from collections.abc import Callable, Sequence
import functools
import multiprocessing
import os
import threading

import grain
import numpy as np

from abaw_jax.core import errors
from abaw_jax.data import class_balance
from abaw_jax.sequences import stateful_videos
from abaw_jax.data import mixture
from abaw_jax.data import order as order_lib

Batch = dict[str, np.ndarray]
Transform = Callable[..., Batch]

# Records that are read before they are decoded: reading one and decoding it in
# turn has both wait for their code and data to come back into the cache.
_AHEAD = 256
# More batches than anyone will train on; Grain wants a length.
_ENDLESS = 2**40


class TrainBatches(grain.DatasetIterator):
  """Endless iterator whose state is the index of the next batch."""

  def __init__(
      self,
      batches: grain.MapDataset,
      read_options: grain.ReadOptions,
      worker_options: grain.MultiprocessingOptions,
  ):
    super().__init__()
    self._batches = batches
    self._read_options = read_options
    self._worker_options = worker_options
    self._next_batch = 0
    self._running = None

  def start_prefetch(self) -> None:
    """Starts threads or workers that prepare the next batches."""
    if self._running is None:
      batches = self._batches[self._next_batch :]
      batches = batches.to_iter_dataset(self._read_options)
      self._running = iter(
          batches.mp_prefetch(self._worker_options, _end_with_parent)
      )
      self._running.start_prefetch()

  def __next__(self) -> Batch:
    self._assert_not_closed()
    self.start_prefetch()
    batch = next(self._running)
    self._next_batch += 1
    return batch

  def get_state(self) -> dict[str, int]:
    return {'next_batch': self._next_batch}

  def set_state(self, state: dict[str, int]) -> None:
    self._stop()
    self._next_batch = state['next_batch']

  def close(self) -> None:
    self._stop()
    super().close()

  def _stop(self) -> None:
    if self._running is not None:
      self._running.close()
      self._running = None


def train_batches(
    source: grain.sources.RandomAccessDataSource,
    transform: Transform,
    *,
    batch_size: int,
    seed: int,
    num_workers: int = 0,
    read_threads: int = 2,
    shard_index: int = 0,
    shard_count: int = 1,
) -> TrainBatches:
  """Returns an endless iterator over shuffled batches of examples.

  The order is that of `order.Order`: epoch e visits every example once, or the
  datasets of a mixture in proportion to its weights, or every expression equally
  often; a batch may cross from one epoch into the next. Lanes have an order of
  their own. Host `shard_index` gets its slice of each global batch, so batches do
  not depend on the number of hosts.

  Args:
    source: records, windows or lanes, with random access; picklable.
    transform: from an iterable of records and `rows` to a batch of so many
      rows, see `transforms`; picklable.
    batch_size: examples of a global batch, over all hosts.
    seed: any integer from 0.
    num_workers: processes that prepare batches; 0 means none.
    read_threads: threads that prepare batches, in each process.
    shard_index: this host.
    shard_count: number of hosts.

  Raises:
    InputError: batch_size cannot be divided among the hosts.
  """
  if isinstance(source, stateful_videos.Lanes):
    source = source.shuffled(seed)
  load = functools.partial(
      _train_batch,
      source=source,
      transform=transform,
      order=_order(source, seed),
      batch_size=batch_size,
      local=_local_size(batch_size, shard_count),
      shard_index=shard_index,
  )
  return TrainBatches(
      grain.MapDataset.range(_ENDLESS).map(load),
      grain.ReadOptions(read_threads, prefetch_buffer_size=read_threads),
      grain.MultiprocessingOptions(num_workers),
  )


def eval_batches(
    source: grain.sources.RandomAccessDataSource,
    transform: Transform,
    *,
    batch_size: int,
    read_threads: int = 2,
    shard_index: int = 0,
    shard_count: int = 1,
) -> grain.IterDataset:
  """Returns an iterable over all examples in order, each exactly once.

  The last batch is filled up with zeros, where `real` and every other mask are
  False. All hosts get equally many batches, even where one has only padding.
  It can be iterated again. Arguments are those of `train_batches`.

  Raises:
    InputError: batch_size cannot be divided among the hosts.
  """
  load = functools.partial(
      _eval_batch,
      source=source,
      transform=transform,
      batch_size=batch_size,
      local=_local_size(batch_size, shard_count),
      shard_index=shard_index,
  )
  num_batches = -(-len(source) // batch_size)
  return (
      grain.MapDataset.range(num_batches)
      .map(load)
      .to_iter_dataset(
          grain.ReadOptions(read_threads, prefetch_buffer_size=read_threads)
      )
  )


def _end_with_parent(index: int, count: int) -> None:
  """Lets this worker process end when the one that it works for is killed.

  It would stay, with its memory and with the pipes that whoever started the
  training waits to be closed.
  """
  del index, count

  def watch():
    multiprocessing.parent_process().join()
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()


def _train_batch(
    index: int, *, source, transform, order, batch_size, local, shard_index
) -> Batch:
  start = index * batch_size + shard_index * local
  return _batch(source, transform, order.indices(start, start + local), local)


def _eval_batch(
    index: int, *, source, transform, batch_size, local, shard_index
) -> Batch:
  start = index * batch_size + shard_index * local
  indices = range(start, min(start + local, len(source)))
  return _batch(source, transform, indices, local)


def _batch(source, transform, indices: Sequence[int], rows: int) -> Batch:
  """Returns the records at `indices` as a batch, filled up to `rows`."""
  reading = None  # what the transform has in hand when it fails

  def records():
    nonlocal reading
    for start in range(0, len(indices), _AHEAD):
      ahead = indices[start : start + _AHEAD]
      reading = None  # a record that cannot be read says itself which it is
      found = [source[index] for index in ahead]
      for index, record in zip(ahead, found, strict=True):
        reading = index
        yield record

  if not indices:
    filled_up = transform([source[0]], rows=rows + 1)
    return {field: value[1:] for field, value in filled_up.items()}
  try:
    return transform(records(), rows=rows)
  except errors.InputError as error:
    if reading is None or not hasattr(source, 'where'):
      raise
    raise errors.InputError(f'{source.where(reading)}: {error}') from error


def _order(source, seed: int) -> order_lib.Order | order_lib.AsItIs:
  if isinstance(source, stateful_videos.Lanes):
    return order_lib.AsItIs()
  if isinstance(source, mixture.Mixture | class_balance.Balanced):
    return source.order(seed)
  return order_lib.Order((len(source),), None, seed)


def _local_size(batch_size: int, shard_count: int) -> int:
  if batch_size % shard_count:
    raise errors.InputError(
        f'batch_size {batch_size} cannot be divided among {shard_count} hosts; '
        f'choose a multiple of {shard_count}'
    )
  return batch_size // shard_count
