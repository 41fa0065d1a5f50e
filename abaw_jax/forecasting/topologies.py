"""TPU slices as targets of the compiler, without a TPU."""

import dataclasses
import itertools
import math
import os
import re
from typing import Any

import jax
from jax.experimental import topologies

from abaw_jax.core import errors
from abaw_jax.telemetry import hardware

# The compiler's names of the generations, and slices of 1 to 256 chips.
_CUBES = (
    '1x1x1', '2x2x1', '2x2x2', '2x2x4', '2x4x4', '4x4x4', '4x4x8', '4x8x8',
)  # fmt: skip
_SQUARES = ('1x1', '2x2', '2x4', '4x4', '4x8', '8x8', '8x16', '16x16')
SLICES = {
    'v4': _CUBES,
    'v5p': _CUBES,
    'v5e': _SQUARES,
    'v6e': _SQUARES,
    'tpu7x': _CUBES,
}
# Other names of the same generations.
ALIASES = {'v5': 'v5p', 'v7x': 'tpu7x'}
# Largest part of a slice on one host.
_HOST = (2, 2, 1)


@dataclasses.dataclass(frozen=True)
class Topology:
  """Equal slices of one TPU generation.

  Attributes:
    generation: a key of SLICES.
    shape: chips along each axis of a slice.
    num_slices: slices, which communicate over the data-centre network.
    devices: JAX devices as compile targets; they cannot compute.
  """

  generation: str
  shape: tuple[int, ...]
  num_slices: int
  devices: tuple[Any, ...]

  @property
  def name(self) -> str:
    slices = f'{self.num_slices} x ' if self.num_slices > 1 else ''
    return f'{slices}{self.generation}:{"x".join(map(str, self.shape))}'

  @property
  def chip(self) -> hardware.Tpu:
    return hardware.TPUS[self.devices[0].device_kind]

  @property
  def num_chips(self) -> int:
    return self.num_slices * math.prod(self.shape)

  def ici_bandwidth(self, group: int = 0) -> float:
    """Returns the maximum bytes/s that a device sends within its slice.

    A chip has one link along an axis, or two if the axis wraps around. An axis
    wraps if it is long enough; in three dimensions, all axes wrap or none.

    Args:
      group: number of devices that communicate; 0 means all. If they fill some
        axes of the slice, only the links along these axes count.
    """
    wrapped = [size >= self.chip.wrap for size in self.shape]
    if len(self.shape) == 3:
      wrapped = [all(wrapped)] * 3
    axes = [
        (size, 1 + is_wrapped)
        for size, is_wrapped in zip(self.shape, wrapped, strict=True)
        if size > 1
    ]
    for count in range(1, len(axes)):
      for some in itertools.combinations(axes, count):
        if math.prod(size for size, _ in some) * self.chip.devices == group:
          axes = list(some)
          break
    links = sum(links for _, links in axes)
    return links * self.chip.link_bandwidth / self.chip.devices


def make_topology(name: str, *, num_slices: int = 1) -> Topology:
  """Returns the topology `generation:AxB` or `generation:AxBxC`.

  Raises:
    InputError: there is no such slice, or its compiler (libtpu) is missing or
      locked.
  """
  _check_compiler()
  match = re.fullmatch(r'(\w+):(\d+(?:x\d+){1,2})', name)
  generation = match and ALIASES.get(match[1], match[1])
  if generation not in SLICES:
    known = ', '.join(f'{key}:{shapes[5]}' for key, shapes in SLICES.items())
    raise errors.InputError(
        f'--topology={name}: no such TPU; give a generation and the number of '
        f'chips along each axis of a slice, such as {known}'
    )
  shape = tuple(map(int, match[2].split('x')))
  bounds = (*shape, 1)[:3]
  options = {
      'chips_per_host_bounds': tuple(map(min, bounds, _HOST)),
      'num_slices': num_slices,
  }
  if generation == 'v4':
    # One device per chip, as on a TPU VM; the default is one per core.
    options['chip_config_name'] = 'megacore'
  try:
    devices = topologies.get_topology_desc(
        platform='tpu', topology_name=f'{generation}:{match[2]}', **options
    ).devices
  except jax.errors.JaxRuntimeError as error:
    if 'lockfile' in str(error):
      raise errors.InputError(
          'libtpu: another process uses it, or its lock file belongs to another '
          'user; wait for that process, or remove /tmp/libtpu_lockfile if it has '
          'ended'
      ) from error
    raise errors.InputError(
        f'--topology={name}: no such slice; slices of {generation} are '
        f'{", ".join(SLICES[generation])} and larger'
    ) from error
  return Topology(generation, shape, num_slices, tuple(devices))


def _check_compiler() -> None:
  """Prepares libtpu for compiling; raises an InputError if it is missing."""
  try:
    import libtpu  # noqa: F401
  except ImportError as error:
    raise errors.InputError(
        "the TPU compiler (libtpu) is missing; pip install 'abaw_jax[tpu]'"
    ) from error
  os.environ |= {
      # Without these two, libtpu waits for an answer of the cloud.
      'TPU_SKIP_MDS_QUERY': '1',
      'TPU_WORKER_HOSTNAMES': 'localhost',
      # Any type; without one, libtpu writes warnings to stderr.
      'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
      # Compiling needs no TPU, so several processes may compile at once.
      'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
  }
