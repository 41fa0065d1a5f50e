"""A source of numbers, for tests of the order of examples.

Worker processes import this file, so it imports no large package.
"""

import os

import jax
import numpy as np

from abaw_jax.core import errors
from abaw_jax.data import protocol


class Numbers(protocol.Source):
  """Example i is {'number': i}."""

  def __init__(self, count: int):
    self._count = count

  def __len__(self):
    return self._count

  def __getitem__(self, index):
    return {'number': index}

  def where(self, index):
    return f'number {index}'

  def names(self, rows):
    return {'name': rows['row']}


def batch(examples, *, rows):
  """Returns a batch with the numbers as `row`."""
  values = np.array([example['number'] for example in examples], np.int32)
  padding = rows - len(values)
  real = np.arange(rows) < len(values)
  return {'row': np.pad(values, (0, padding)), 'real': real}


def batch_and_process(examples, *, rows):
  """Returns a batch with its process id and whether JAX holds a device there."""
  held = jax._src.xla_bridge.backends_are_initialized()
  return {
      **batch(examples, rows=rows),
      'pid': np.full(rows, os.getpid()),
      'held': np.full(rows, held),
  }


def refuse(examples, *, rows):
  """Raises an InputError for the first example."""
  del rows
  next(iter(examples))
  raise errors.InputError('bad')
