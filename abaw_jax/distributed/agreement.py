"""Flags that all processes of a run share at every step, without blocking."""

from collections.abc import Sequence

import jax
import numpy as np

from abaw_jax.distributed import sharding


class Agreement:
  """Combines flags of all processes: a flag is set if any process sets it.

  The devices gather the flags between two updates. `exchange` returns those of
  the previous step, which have already arrived, so no process waits. With one
  process there is nothing to gather, and it returns the flags at once.
  """

  def __init__(self, mesh: jax.sharding.Mesh):
    """Prepares to gather flags over the devices of a mesh."""
    self._mesh = mesh
    self._gathered = None

  def exchange(self, flags: Sequence[bool]) -> tuple[bool, ...]:
    """Sends the flags of this process; returns the combined previous ones.

    Every process calls this at every step, with the same number of flags.
    """
    if jax.process_count() == 1:
      return tuple(flags)
    previous, rows = self._gathered, [flags] * jax.local_device_count()
    local = sharding.to_devices(
        {'flags': np.array(rows, bool)}, sharding.over_batch(self._mesh)
    )['flags']
    self._gathered = jax.device_put(local, sharding.replicated(self._mesh))
    if previous is None:
      return (False,) * len(flags)
    return tuple(np.asarray(previous).any(axis=0).tolist())
