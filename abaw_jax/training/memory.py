"""Keeps the data of a run in host memory."""

import socket
from typing import Any
import zlib

import jax
from jax.experimental import multihost_utils
import numpy as np

from abaw_jax.core import errors, progress_bars
from abaw_jax.data import memory
from abaw_jax.tasks import task as task_lib
from abaw_jax.telemetry import journal

# Share of the free memory that the data may take; the run itself needs some.
_MAX_SHARE = 0.9


def load(
    task: task_lib.Task, train: Any, validation: Any
) -> tuple[memory.Fillable, memory.Fillable]:
  """Returns both sources with their examples in memory; prints the size first.

  Every host holds the whole training split, because each epoch shuffles all of
  it. Of the validation split it holds the images that it evaluates.

  Args:
    task: of the run.
    train: source of the training split.
    validation: source of the validation split.

  Raises:
    InputError: the host has too little free memory, or an image cannot be
      decoded.
  """
  train = task.in_memory(train)
  validation = task.in_memory(
      validation,
      shard_index=jax.process_index(),
      shard_count=jax.process_count(),
  )
  needed = train.num_bytes + validation.num_bytes
  free = memory.free_bytes()
  num_local = _processes_of_this_host()
  each = f' in each of {num_local} processes' if num_local > 1 else ''
  size = f'{progress_bars.size(needed)}{each}, {progress_bars.size(free)} free'
  if num_local * needed > _MAX_SHARE * free:
    raise errors.InputError(
        f'config.data.in_memory=True: the data need {size}; at most '
        f'{_MAX_SHARE:.0%} may be used: set it to False, or use a machine with '
        'more memory'
    )
  count = train.num_held + validation.num_held
  journal.say(f'{count:,} {task.unit} stay in memory: {size}')
  data = task.config['data']
  with progress_bars.make(
      desc='reading into memory',
      unit=task.unit,
      total=count,
      disable=jax.process_index() != 0,
  ) as bar:
    for source in (train, validation):
      source.fill(
          bar.update,
          num_workers=data['num_workers'],
          read_threads=data['read_threads'],
      )
  return train, validation


def _processes_of_this_host() -> int:
  """Returns the number of processes of the run on this host."""
  own = np.uint32(zlib.crc32(socket.gethostname().encode()))
  return int(np.sum(multihost_utils.process_allgather(own) == own))
