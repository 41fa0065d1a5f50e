"""What a compiled step sends from device to device."""

import dataclasses
import re

import numpy as np

from abaw_jax.forecasting import hlo

# Bytes that each of n devices in a ring sends, over those of the whole array.
SENT = {
    'all-reduce': lambda n: 2 * (n - 1) / n,
    'all-gather': lambda n: (n - 1) / n,
    'reduce-scatter': lambda n: (n - 1) / n,
    'all-to-all': lambda n: (n - 1) / n,
    'collective-permute': lambda n: 1.0,
}
# From TPU slice to slice the program hands arrays to the host, which does the
# collective that this names.
_TRANSFER = re.compile(r'_xla_megascale_transfer_type="(\w+)"')


@dataclasses.dataclass(frozen=True)
class Collective:
  """All collectives of one kind over one network, in a step of one device.

  Attributes:
    kind: a key of SENT.
    network: 'ici' within a slice, 'dcn' from slice to slice.
    count: how often it is run.
    num_bytes: of the whole arrays: those of one device before they are split,
      or after they are gathered.
    sent_bytes: what the device sends of them.
  """

  kind: str
  network: str
  count: int
  num_bytes: int
  sent_bytes: int


def find(
    program: hlo.Program, *, num_devices: int, num_slices: int = 1
) -> list[Collective]:
  """Returns the collectives of a device's program, by kind and network.

  Args:
    program: what each device runs.
    num_devices: those of one slice.
    num_slices: slices that exchange over the data-centre network.
  """
  sums, seen = {}, set()
  for name, instruction, times in program.run(fusions=True):
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
    total = sums.setdefault((kind, 'dcn' if transfer else 'ici'), [0, 0, 0])
    for i, number in enumerate((1, size, round(size * SENT[kind](group)))):
      total[i] += number * times
  return [Collective(*key, *total) for key, total in sorted(sums.items())]


def group_size(instruction: hlo.Instruction, num_devices: int) -> int:
  """Returns how many devices take part in each group of a collective.

  XLA writes groups in full, as `[groups,size]<=[...]`, or as the axes of a mesh
  that they span; no groups are one of all devices.

  Raises:
    ValueError: if it writes them in yet another way.
  """
  text = instruction.attributes
  if match := re.search(r'replica_groups=\[(\d+),(\d+)\]', text):
    return int(match[2])
  # An order of the devices may stand before the axes that are spanned.
  if match := re.search(
      r'replica_groups=mesh\[([^\]]*)\](?:, device_ids=[^{]*)? \{([^}]*)\}',
      text,
  ):
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
    spanned = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", match[2])
    return int(np.prod([int(part or sizes[axis]) for axis, part in spanned]))
  if match := re.search(r'replica_groups=\{\{([\d,]*)\}', text):
    return len(match[1].split(','))
  if re.search(r'replica_groups=(?!\{\})', text):
    raise ValueError(f'unknown way to write groups: {text}')
  return num_devices


def _kind(instruction: hlo.Instruction, computation: str) -> str | None:
  """Returns the key of SENT that an instruction is, None if it is none."""
  if instruction.opcode == 'send':
    match = _TRANSFER.search(instruction.attributes)
    return match[1].lower().replace('_', '-') if match else None
  kind = instruction.opcode.removesuffix('-start')
  if kind == 'all-reduce' and computation.startswith('all-reduce-scatter'):
    return 'reduce-scatter'  # a fusion that keeps a part of the sum
  return kind if kind in SENT else None


def _is_repeated(instruction: hlo.Instruction, seen: set[str]) -> bool:
  """Returns whether a collective was seen before.

  One that runs beside other work is written down again in each fusion of it.
  """
  text = instruction.attributes
  chain = re.search(r'chain_id="?(\d+)', text)
  if not chain:
    return False
  key = f'{chain[1]} {re.search(r"channel_id=([0-9]+)", text)[1]}'
  repeated = key in seen
  seen.add(key)
  return repeated
