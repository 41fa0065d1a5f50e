"""Bytes that a compiled step sends between devices."""

import dataclasses
import re

import numpy as np

from abaw_jax.forecasting import hlo

# Bytes that each of n devices in a ring sends, relative to the full array.
SENT = {
    'all-reduce': lambda n: 2 * (n - 1) / n,
    'all-gather': lambda n: (n - 1) / n,
    'reduce-scatter': lambda n: (n - 1) / n,
    'all-to-all': lambda n: (n - 1) / n,
    'collective-permute': lambda n: 1.0,
}
# Between TPU slices, the program sends arrays to the host. The host executes the
# collective with this name.
_TRANSFER = re.compile(r'_xla_megascale_transfer_type="(\w+)"')


@dataclasses.dataclass(frozen=True)
class Collective:
  """Equal collectives over one network, per step and device.

  Attributes:
    kind: a key of SENT.
    network: 'ici' within a slice, 'dcn' between slices.
    group: number of devices in each group.
    overlapped: whether the program computes during the transfer.
    count: executions per step.
    num_bytes: size of the full arrays, before splitting or after gathering.
    sent_bytes: bytes that the device sends.
  """

  kind: str
  network: str
  group: int
  overlapped: bool
  count: int
  num_bytes: int
  sent_bytes: int


def find(
    program: hlo.Program, *, num_devices: int, num_slices: int = 1
) -> list[Collective]:
  """Returns the collectives of a program, equal ones as one.

  Args:
    program: program of each device.
    num_devices: devices of one slice.
    num_slices: slices, which communicate over the data-centre network.
  """
  sums, seen = {}, set()
  for name, instruction, times in program.walk(fusions=True):
    kind = _kind(instruction, name)
    if kind is None or _is_repeated(instruction, seen):
      continue
    transfer = instruction.opcode == 'send'
    group = num_slices if transfer else group_size(instruction, num_devices)
    types = [
        program.computations[name][operand].type
        for operand in instruction.operands[: 1 if transfer else None]
    ]
    size = sum(map(hlo.num_bytes, types))
    size *= group if kind == 'all-gather' else 1
    overlapped = not transfer and (
        instruction.opcode.endswith('-start')
        or _is_started(program.computations[name])
    )
    key = kind, 'dcn' if transfer else 'ici', group, overlapped
    total = sums.setdefault(key, [0, 0, 0])
    for i, number in enumerate((1, size, round(size * SENT[kind](group)))):
      total[i] += number * times
  return [Collective(*key, *total) for key, total in sorted(sums.items())]


def group_size(instruction: hlo.Instruction, num_devices: int) -> int:
  """Returns the number of devices in each group of a collective.

  XLA writes groups as lists of devices, as `[groups,size]<=[...]`, or as axes of
  a mesh. Without groups, all devices are one group.

  Raises:
    ValueError: if the groups have another format.
  """
  text = instruction.attributes
  if match := re.search(r'replica_groups=\[(\d+),(\d+)\]', text):
    return int(match[2])
  # The order of the devices may come before the axes.
  if match := re.search(
      r'replica_groups=mesh\[([^\]]*)\](?:, device_ids=[^{]*)? \{([^}]*)\}',
      text,
  ):
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
    grouped = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", match[2])
    return int(np.prod([int(part or sizes[axis]) for axis, part in grouped]))
  if match := re.search(r'replica_groups=\{\{([\d,]*)\}', text):
    return len(match[1].split(','))
  if re.search(r'replica_groups=(?!\{\})', text):
    raise ValueError(f'unknown format of replica groups: {text}')
  return num_devices


def _is_started(computation: hlo.Computation) -> bool:
  """Returns whether a fusion starts a collective and does not wait for it."""
  return any(
      'AsyncCollectiveStart' in instruction.attributes
      for instruction in computation.values()
  )


def _kind(instruction: hlo.Instruction, computation: str) -> str | None:
  """Returns the key of SENT for an instruction, or None."""
  if instruction.opcode == 'send':
    match = _TRANSFER.search(instruction.attributes)
    return match[1].lower().replace('_', '-') if match else None
  kind = instruction.opcode.removesuffix('-start')
  if kind == 'all-reduce' and computation.startswith('all-reduce-scatter'):
    return 'reduce-scatter'  # this fusion keeps one part of the sum
  return kind if kind in SENT else None


def _is_repeated(instruction: hlo.Instruction, seen: set[str]) -> bool:
  """Returns whether a collective was seen before.

  The text repeats an asynchronous collective in each fusion that overlaps it.
  """
  text = instruction.attributes
  chain = re.search(r'chain_id="?(\d+)', text)
  if not chain:
    return False
  key = f'{chain[1]} {re.search(r"channel_id=([0-9]+)", text)[1]}'
  repeated = key in seen
  seen.add(key)
  return repeated
