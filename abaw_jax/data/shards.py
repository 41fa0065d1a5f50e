"""Random access to the raw records of ArrayRecord files."""

import bisect
from collections.abc import Sequence
import itertools
import os
import threading

from array_record.python import array_record_module

from abaw_jax.buckets import failures
from abaw_jax.core import errors, files
from abaw_jax.data import dataset_cache


class Shards:
  """The records of several ArrayRecord files by position, as bytes.

  The data sources of TFDS and ArrayRecord read each record in a thread pool, which
  takes 15 microseconds instead of 5. Reading releases the GIL. Threads can share
  one object, and it can be pickled.
  """

  def __init__(
      self,
      paths: Sequence[str | os.PathLike],
      lengths: Sequence[int],
      *,
      cache: str = '',
  ):
    """Initializes the reader; opens no file yet.

    Args:
      paths: ArrayRecord files. Those in a bucket are copied when the first record
        is read.
      lengths: number of records in each file.
      cache: folder of the copies, see `dataset_cache.copied`.
    """
    self._paths = [os.fspath(path) for path in paths]
    self._cache = cache
    self._is_copy = files.is_bucket(self._paths[0])
    self._ends = list(itertools.accumulate(lengths))
    self._forget_readers()

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> bytes:
    shard = bisect.bisect_right(self._ends, index)
    if index < 0 or shard == len(self._ends):
      raise IndexError(f'record {index} of {len(self)}')
    position = index - (self._ends[shard - 1] if shard else 0)
    try:
      reader = self._readers[shard] or self._open(shard)
      # A range of one record: a list of positions would use the thread pool.
      return reader.read(position, position + 1)[0]
    except failures.BucketError:
      raise  # the file is not damaged
    except (IndexError, OSError, RuntimeError, ValueError) as e:
      reason = str(e).partition('\n')[0]
      raise errors.InputError(
          f'{self._paths[shard]}: record {position} of {self._length(shard)} cannot '
          f'be read ({reason}); the file is damaged or incomplete: {self._fix()}'
      ) from e

  def _length(self, shard: int) -> int:
    return self._ends[shard] - (self._ends[shard - 1] if shard else 0)

  def _fix(self) -> str:
    if self._is_copy:
      return 'remove it, and the same command copies it again'
    return (
        'copy it again, or remove the folder of the dataset and build it again'
    )

  def __getstate__(self):
    state = self.__dict__.copy()
    del state['_readers'], state['_lock']
    return state

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._forget_readers()

  def _forget_readers(self) -> None:
    self._readers = [None] * len(self._paths)
    self._lock = threading.Lock()

  def _open(self, shard: int):
    with self._lock:
      if files.is_bucket(self._paths[shard]):
        self._paths = dataset_cache.copied(self._paths, self._cache)
      if self._readers[shard] is None:
        self._readers[shard] = array_record_module.ArrayRecordReader(
            self._paths[shard],
            options='readahead_buffer_size:0,max_parallelism:0',
            file_reader_buffer_size=2**12,
        )
      return self._readers[shard]
