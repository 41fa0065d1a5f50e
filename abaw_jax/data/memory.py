"""Images that stay decoded in host memory, and the memory that is free for them."""

from collections.abc import Callable
import os
import pathlib
import re
from typing import Any, Protocol, runtime_checkable

import numpy as np

from abaw_jax.data import order as order_lib
from abaw_jax.data import pipeline, protocol

# Images that are decoded at once by a thread or a worker process.
_CHUNK = 64
_CGROUPS = pathlib.Path('/sys/fs/cgroup')


@runtime_checkable
class Fillable(Protocol):
  """A source that can keep its examples in memory.

  Attributes:
    num_bytes: memory that it takes.
    num_held: images or frames in it.
  """

  num_bytes: int
  num_held: int

  def fill(
      self, update: Callable[[int], Any], *, num_workers: int, read_threads: int
  ) -> None:
    """Reads everything; calls `update` with the number of new images or frames."""
    ...


class DecodedImages(protocol.Wrapper):
  """A source of single images that decodes each image once.

  A record has the decoded square, uint8 [s, s, 3], in place of the encoded image.
  All squares have the size s, so images of any size fit into one array. Records
  are the same before `fill`, where they are read from disk.
  """

  def __init__(
      self,
      source: Any,
      decode: pipeline.Transform,
      *,
      batch_size: int = _CHUNK,
      shard_index: int = 0,
      shard_count: int = 1,
  ):
    """Plans the memory; reads one record.

    Args:
      source: records of single images.
      decode: from an iterable of records, and `rows`, to an array for each field
        with one row per record, see `transforms.decoded_columns`; picklable.
      batch_size: of evaluation, over all hosts.
      shard_index: index of this host.
      shard_count: number of hosts that share the rows of each batch. Only the rows
        of this host stay in memory; the others are read from disk.
    """
    super().__init__(source)
    self._options = {
        'transform': decode,
        'batch_size': batch_size,
        'shard_index': shard_index,
        'shard_count': shard_count,
    }
    place = np.arange(len(source)) % batch_size
    is_held = place // (batch_size // shard_count) == shard_index
    self.num_held = int(is_held.sum())
    self._slots = np.where(is_held, np.cumsum(is_held) - 1, -1)
    self._columns = None
    self._one = decode([source[0]], rows=1)
    self.num_bytes = self.num_held * sum(x.nbytes for x in self._one.values())

  def fill(
      self, update: Callable[[int], Any], *, num_workers: int, read_threads: int
  ) -> None:
    """Decodes all images in threads, or in worker processes.

    Raises:
      InputError: an image cannot be decoded; the message names it.
    """
    columns = {
        name: np.empty((self.num_held, *value.shape[1:]), value.dtype)
        for name, value in self._one.items()
    }
    first = 0
    with pipeline.ordered_batches(
        self._source,
        num_workers=num_workers,
        read_threads=read_threads,
        **self._options,
    ) as batches:
      for batch in batches:
        count = len(batch['image'])
        for name, column in columns.items():
          column[first : first + count] = batch[name]
        first += count
        update(count)
    for column in columns.values():
      column.flags.writeable = False  # records are views
    self._columns = columns

  def for_training(self, seed: int) -> order_lib.Shuffled:
    """Returns the examples in the order of training."""
    return self._source.for_training(seed).of(self)

  def __getitem__(self, index: int) -> dict[str, Any]:
    slot = self._slots[index]
    if self._columns is None or slot < 0:
      return super().__getitem__(index)
    return {name: column[slot] for name, column in self._columns.items()}


def free_bytes() -> int:
  """Returns how much host memory is free for this process.

  This is the memory that Linux can free without swapping. It is less in a
  container or a job with a limit (cgroup v2). Where neither is known, it is the
  memory of the machine.
  """
  try:
    text = pathlib.Path('/proc/meminfo').read_text()
    free = 1024 * int(re.search(r'MemAvailable:\s+(\d+)', text)[1])
    _, _, own = pathlib.Path('/proc/self/cgroup').read_text().partition('0::/')
  except (OSError, TypeError):
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  folder = _CGROUPS / own.strip()
  limits = [_unused(f) for f in (folder, *folder.parents) if _limit(f)]
  return min([free, *limits])


def _limit(folder: pathlib.Path) -> int | None:
  """Returns the memory limit of a control group; None if it has none."""
  try:
    return int((folder / 'memory.max').read_text())
  except (OSError, ValueError):  # the text is 'max'
    return None


def _unused(folder: pathlib.Path) -> int:
  """Returns the rest of a limit; the page cache of files counts as free."""
  used = int((folder / 'memory.current').read_text())
  lines = (folder / 'memory.stat').read_text().splitlines()
  stat = dict(line.split() for line in lines)
  return _limit(folder) - used + int(stat['inactive_file'])
