"""A boundary over which XLA fuses nothing on a CPU."""

from typing import TypeVar

import jax
from jax.experimental import xla_metadata

T = TypeVar('T')


@jax.jit
def _as_they_are(tree):
  return tree


def fence(tree: T) -> T:
  """Returns arrays as they are, computed once and before what they are used for.

  XLA's compiler for CPUs puts what makes an array into the loop of what uses it,
  once for each use, and has removed optimisation barriers by then. It does not
  look into a function that may not be inlined, though. For code that runs on
  CPUs; on others this is no boundary.
  """
  with xla_metadata.set_xla_metadata(inlineable='false'):
    return _as_they_are(tree)
