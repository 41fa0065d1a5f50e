"""HBM traffic of a compiled step."""

import re

from abaw_jax.forecasting import hlo

# Opcodes that move no data, or only mark the end of a transfer.
_FREE = frozenset(
    {
        'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast',
        'while', 'conditional', 'call', 'call-start', 'after-all', 'iota',
        'partition-id', 'replica-id', 'async-start', 'async-update',
    }
)  # fmt: skip
# Opcodes that read only a part of the first operand, as large as the result.
_SLICES = frozenset({'dynamic-slice', 'slice', 'gather', 'slice-start'})
# Opcodes that change a part of the first operand in place, and the position of the
# operand with the new values.
_UPDATES = {'dynamic-update-slice': 1, 'scatter': 2}
# Type of scratch memory at the end of a tuple.
_SCRATCH = re.compile(r'[su]8\[\d+\]\{0\}\)$')


def hbm_bytes(program: hlo.Program) -> int:
  """Returns the bytes that a step reads from HBM and writes to it.

  Each instruction reads its operands and writes its result once; a fusion is one
  instruction. Slices and updates in place count only the part that they touch.
  Arrays in the vector memory of a TPU do not count. A kernel (`custom-call`) reads
  its operands once, even if it reads parts of them several times.

  XLA's own `bytes accessed` differs in three ways: it counts the body of a loop
  once, it also counts traffic of vector memory, and it counts some operands of
  products, gathers and scatters several times or entirely.
  """
  return sum(
      times * _moved(program, program.computations[name], instruction)
      for name, instruction, times in program.walk()
      if instruction.opcode not in _FREE
      and not instruction.opcode.endswith('-done')
      and '"AllocateBuffer"' not in instruction.attributes
  )


def _moved(program, computation, instruction) -> int:
  """Returns the bytes that one instruction moves."""
  operands = [computation[name].type for name in instruction.operands]
  if instruction.opcode == 'fusion':
    fused = program.computations[instruction.called()[0]]
    return _fused(program, fused, instruction, operands)
  if instruction.opcode in ('copy-start', 'slice-start'):
    # The type is a tuple of the output, the input and a counter.
    arrays = hlo.arrays(instruction.type)[:2]
    size = min(size for size, _ in arrays)
    return size * sum(in_hbm for _, in_hbm in arrays)
  if instruction.opcode in _SLICES:
    read = hlo.num_bytes(instruction.type) * bool(hlo.hbm_bytes(operands[0]))
    return read + hlo.hbm_bytes(instruction.type)
  if position := _UPDATES.get(instruction.opcode):
    # A scatter also reads the old values, to add to them.
    scatter = instruction.opcode == 'scatter'
    changed = hlo.num_bytes(operands[position]) * (1 + scatter)
    return changed * bool(hlo.hbm_bytes(operands[0])) + sum(
        map(hlo.hbm_bytes, operands[1 : position + 1])
    )
  written = instruction.type
  if instruction.opcode == 'custom-call':
    # Kernels of NVIDIA's libraries also return their scratch memory.
    written = _SCRATCH.sub(')', written)
  if instruction.opcode.endswith('-start'):
    # The type lists operands and result, which have the same size.
    written = ''
    operands *= 2
  return hlo.hbm_bytes(written) + sum(map(hlo.hbm_bytes, operands))


def _fused(program, fused, instruction, operands) -> int:
  """Returns the bytes that a fusion moves; `fused` is its body."""
  total = 0
  for number, kind in enumerate(operands):
    if size := hlo.hbm_bytes(kind):
      total += min(size, _read_parameter(program, fused, number, size))
  root = next(inner for inner in fused.values() if inner.root)
  parts = [root]
  if root.opcode == 'tuple':
    parts = [fused[name] for name in root.operands]
  for part, (size, in_hbm) in zip(
      parts, hlo.arrays(instruction.type), strict=False
  ):
    if in_hbm:
      total += _written(program, fused, part, size)
  return total


def _read_parameter(program, fused, number, size) -> int:
  """Returns the bytes that the body of a fusion reads of one parameter."""
  for inner in fused.values():
    if inner.opcode == 'parameter' and int(inner.attributes) == number:
      return _read(program, fused, inner.name, size)
  return 0


def _read(program, fused, name, size) -> int:
  """Returns the bytes that the body of a fusion reads of one value."""
  if fused[name].root:
    return size
  total = 0
  for user in fused.values():
    for position, operand in enumerate(user.operands):
      if operand != name:
        continue
      if user.opcode == 'bitcast':
        total += _read(program, fused, user.name, size)
      elif user.opcode == 'fusion':  # a fusion inside of a fusion
        body = program.computations[user.called()[0]]
        total += _read_parameter(program, body, position, size)
      elif position == 0 and user.opcode in _SLICES:
        total += hlo.num_bytes(user.type)
      elif position or user.opcode not in _UPDATES:
        return size
      elif user.opcode == 'scatter':
        total += _changed(fused, user)
  return total


def _written(program, fused, part, size) -> int:
  """Returns the bytes that a fusion writes of a result of `size` bytes."""
  part = _without_bitcasts(fused, part)
  if part.opcode == 'fusion' and not part.type.startswith('('):
    fused = program.computations[part.called()[0]]
    root = next(inner for inner in fused.values() if inner.root)
    part = _without_bitcasts(fused, root)
  if part.opcode not in _UPDATES:
    return size
  base = _without_bitcasts(fused, fused[part.operands[0]])
  kept = 0
  if base.opcode != 'parameter':
    kept = _written(program, fused, base, size)
  return min(size, kept + _changed(fused, part))


def _changed(fused, update) -> int:
  """Returns the bytes of the new values of an update in place."""
  return hlo.num_bytes(fused[update.operands[_UPDATES[update.opcode]]].type)


def _without_bitcasts(fused, part):
  while part.opcode == 'bitcast':
    part = fused[part.operands[0]]
  return part
