"""Parses the text of XLA's optimised programs, to count bytes."""

from collections.abc import Iterator
import dataclasses
import math
import re

# Bits of an element; other types (token, opaque) have no data.
BITS = {
    'pred': 8,
    's4': 4, 's8': 8, 's16': 16, 's32': 32, 's64': 64,
    'u4': 4, 'u8': 8, 'u16': 16, 'u32': 32, 'u64': 64,
    'f16': 16, 'bf16': 16, 'f32': 32, 'f64': 64, 'c64': 64,
}  # fmt: skip

_ARRAY = re.compile(r'(\w+)\[([\d,]*)\](\{[^{}]*\})?')
_HEADER = re.compile(r'(ENTRY )?%?([\w.\-]+) \(.*\{$')
_NAME = re.compile(r'\s+(?:ROOT )?%?([\w.\-]+) = ')
_OPERAND = re.compile(r'%([\w.\-]+)')
_CALLED = re.compile(
    r'(?:calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)'
)
_OPENING, _CLOSING = '([{', ')]}'


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a computation.

  Attributes:
    name: unique in its computation.
    type: type of its result, `f32[8,128]{1,0}` or a tuple in parentheses.
    opcode: such as `fusion` or `all-reduce-start`.
    operands: names of its arguments.
    attributes: rest of the line.
    root: whether it is the result of the computation.
  """

  name: str
  type: str
  opcode: str
  operands: tuple[str, ...]
  attributes: str
  root: bool

  def called(self) -> list[str]:
    """Returns the names of the computations it calls, except those of loops."""
    names = _CALLED.findall(self.attributes)
    if match := re.search(r'branch_computations=\{([^}]*)\}', self.attributes):
      names += _OPERAND.findall(match[1])
    return names


Computation = dict[str, Instruction]
Execution = tuple[str, Instruction, int]

# Opcodes, except loops, that execute the computations they name. `call-start`
# executes them on another core.
CALLS = ('call', 'call-start', 'conditional', 'async-start')


@dataclasses.dataclass(frozen=True)
class Program:
  """Computations by name; a step executes `entry` once."""

  computations: dict[str, Computation]
  entry: str

  def walk(self, *, fusions: bool = False) -> Iterator[Execution]:
    """Yields (name of computation, instruction, executions per step).

    The body of a loop counts once per iteration, or once if the number of
    iterations is unknown. Every branch of a conditional counts.

    Args:
      fusions: whether to also yield the instructions inside of fusions.
    """
    return self._walk(self.entry, 1, CALLS + ('fusion',) * fusions)

  def _walk(self, name, times, calls):
    for instruction in self.computations[name].values():
      yield name, instruction, times
      if instruction.opcode == 'while':
        iterations = self.trip_count(instruction) or 1
        yield from self._walk(
            _attribute(instruction, 'body'), times * iterations, calls
        )
      elif instruction.opcode in calls:
        for called in instruction.called():
          yield from self._walk(called, times, calls)

  def trip_count(self, loop: Instruction) -> int | None:
    """Returns the number of iterations of a `while`, or None if unknown.

    XLA writes it for some targets. Otherwise this assumes that the condition
    compares a counter from 0, as in `lax.scan`, with its only constant.
    """
    noted = r'"known_trip_count":\{"n":"(\d+)"\}'
    if match := re.search(noted, loop.attributes):
      return int(match[1])
    condition = self.computations[_attribute(loop, 'condition')].values()
    limits = [
        int(instruction.attributes)
        for instruction in condition
        if instruction.opcode == 'constant'
        and instruction.attributes.isdecimal()
    ]
    return limits[0] if len(limits) == 1 else None


def parse(text: str) -> Program:
  """Returns the program of a text of `jax.stages.Compiled.as_text`."""
  computations, entry, current = {}, '', None
  for line in text.splitlines():
    if match := _HEADER.match(line):
      current = computations.setdefault(match[2], {})
      entry = match[2] if match[1] else entry
    elif current is not None and (match := _NAME.match(line)):
      current[match[1]] = _instruction(match[1], line, match.end())
  return Program(computations, entry)


def arrays(text: str) -> list[tuple[int, bool]]:
  """Returns (bytes, whether in HBM) of each array of a type.

  Memory space 1 is the vector memory of a TPU, and 2 its scalar memory. Padding
  of incomplete tiles does not count.
  """
  return [
      (
          BITS.get(kind, 0) * math.prod(map(int, filter(None, dims.split(','))))
          // 8,
          'S(' not in layout,
      )
      for kind, dims, layout in _ARRAY.findall(text)
  ]  # fmt: skip


def num_bytes(text: str) -> int:
  """Returns the bytes of all arrays of a type, in any memory."""
  return sum(size for size, _ in arrays(text))


def hbm_bytes(text: str) -> int:
  """Returns the bytes of the arrays of a type that are in HBM."""
  return sum(size for size, in_hbm in arrays(text) if in_hbm)


def _instruction(name: str, line: str, start: int) -> Instruction:
  end = _end_of_group(line, start) if line[start] == '(' else start
  end = line.index(' ', end)
  bracket = line.index('(', end)
  close = _end_of_group(line, bracket)
  opcode, inner = line[end + 1 : bracket], line[bracket + 1 : close - 1]
  return Instruction(
      name=name,
      type=line[start:end],
      opcode=opcode,
      operands=tuple(_OPERAND.findall(inner)),
      # A constant's value and a parameter's number are in place of operands.
      attributes=inner if opcode in ('constant', 'parameter') else line[close:],
      root=line.lstrip().startswith('ROOT '),
  )


def _end_of_group(line: str, start: int) -> int:
  """Returns the position after the bracket that closes the one at `start`."""
  depth = 0
  for position in range(start, len(line)):
    depth += line[position] in _OPENING
    depth -= line[position] in _CLOSING
    if not depth:
      return position + 1
  return len(line)


def _attribute(instruction: Instruction, key: str) -> str:
  return re.search(rf'{key}=%?([\w.\-]+)', instruction.attributes)[1]
