"""What the processes of a run decide together, turn by turn, without waiting."""

from collections.abc import Sequence

import jax
import numpy as np

from abaw_jax.distributed import sharding


class Agreement:
  """Flags that any process may raise and that all of them hear in one turn.

  They are gathered on the devices, in line with the updates: when a turn begins,
  the flags of the turn before have long arrived, and no process has waited. With
  one process there is nothing to gather, and flags are heard at once.
  """

  def __init__(self, mesh: jax.sharding.Mesh):
    """Prepares to gather over the devices of a mesh."""
    self._mesh = mesh
    self._gathered = None

  def exchange(self, flags: Sequence[bool]) -> tuple[bool, ...]:
    """Returns which flags a process had raised a turn ago, and raises ours.

    All processes call this in every turn, with as many flags.
    """
    if jax.process_count() == 1:
      return tuple(flags)
    before, rows = self._gathered, [flags] * jax.local_device_count()
    ours = sharding.to_devices(
        {'flags': np.array(rows, bool)}, sharding.over_batch(self._mesh)
    )['flags']
    self._gathered = jax.device_put(ours, sharding.replicated(self._mesh))
    if before is None:
      return (False,) * len(flags)
    return tuple(np.asarray(before).any(axis=0).tolist())
