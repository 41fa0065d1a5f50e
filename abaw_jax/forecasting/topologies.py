"""TPU slices to compile for, without a TPU."""

import dataclasses
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
# Other names for the same.
ALIASES = {'v5': 'v5p', 'v7x': 'tpu7x'}
# Largest part of a slice that one host holds.
_HOST = (2, 2, 1)


@dataclasses.dataclass(frozen=True)
class Topology:
  """Equal slices of one TPU generation.

  Attributes:
    generation: a key of SLICES.
    shape: chips along each axis of a slice.
    num_slices: slices, which exchange over the data-centre network.
    devices: JAX devices that can be compiled for, but compute nothing.
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

  @property
  def ici_bandwidth(self) -> float:
    """Bytes/s that a device sends into its slice at best.

    Along an axis a chip has one link, or two where the ends are linked: on each
    axis that is long enough, and in three dimensions only on all of them.
    """
    closed = [size >= self.chip.wrap for size in self.shape]
    if len(self.shape) == 3:
      closed = [all(closed)] * 3
    links = sum(
        1 + wraps
        for size, wraps in zip(self.shape, closed, strict=True)
        if size > 1
    )
    return links * self.chip.link_bandwidth / self.chip.devices


def make(name: str, *, num_slices: int = 1) -> Topology:
  """Returns the topology `generation:AxB` or `generation:AxBxC`.

  Raises:
    InputError: there is no such slice, or no compiler for it (libtpu).
  """
  _check_compiler()
  match = re.fullmatch(r'(\w+):(\d+(?:x\d+){1,2})', name)
  generation = match and ALIASES.get(match[1], match[1])
  if generation not in SLICES:
    known = ', '.join(f'{key}:{shapes[5]}' for key, shapes in SLICES.items())
    raise errors.InputError(
        f'--topology={name}: no such TPU; name a generation and the chips '
        f'along each axis of a slice, such as {known}'
    )
  shape = tuple(map(int, match[2].split('x')))
  bounds = (*shape, 1)[:3]
  options = {
      'chips_per_host_bounds': tuple(map(min, bounds, _HOST)),
      'num_slices': num_slices,
  }
  if generation == 'v4':
    # One device per chip, as on a TPU VM; libtpu's default is one per core.
    options['chip_config_name'] = 'megacore'
  try:
    devices = topologies.get_topology_desc(
        platform='tpu', topology_name=f'{generation}:{match[2]}', **options
    ).devices
  except jax.errors.JaxRuntimeError as error:
    raise errors.InputError(
        f'--topology={name}: no such slice; slices of {generation} are '
        f'{", ".join(SLICES[generation])} and larger ones'
    ) from error
  return Topology(generation, shape, num_slices, tuple(devices))


def _check_compiler() -> None:
  """Readies libtpu for compiling; raises an InputError if it is not there."""
  try:
    import libtpu  # noqa: F401
  except ImportError as error:
    raise errors.InputError(
        "there is no TPU compiler: pip install 'jax[tpu]', which brings libtpu"
    ) from error
  os.environ |= {
      # Else it asks the cloud which TPU this is, and waits for an answer.
      'TPU_SKIP_MDS_QUERY': '1',
      'TPU_WORKER_HOSTNAMES': 'localhost',
      # Any will do: without one it complains on stderr.
      'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
      # Only one process may own a TPU; compiling owns none.
      'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
  }
