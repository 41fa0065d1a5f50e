"""Reads pickled tensors and plain containers, and executes no code.

A pickle is a program. `pickletools` splits it into instructions. This module
follows only instructions that build plain values, and calls only the
constructors in `torch_values`. Classes and functions stay names: they are never
looked up or imported. An object becomes a dict of its attributes. Calls of
helper classes are not executed: `torch_values.is_inert` says which calls leave an
empty object in their place. All other calls are refused by name.
"""

import pathlib
import pickletools
from typing import Any, NamedTuple, NoReturn

from abaw_jax.core import errors
from abaw_jax.porting import torch_values

RESAVE = (
    "save it again with the original code, torch.save({'model': "
    'module.state_dict()}, path)'
)


class _Global(NamedTuple):
  """Name of a class or function, which is never looked up."""

  name: str


# Instructions that push a constant, an empty container or their argument.
_CONSTANTS = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False}
_EMPTY = {'EMPTY_DICT': dict, 'EMPTY_LIST': list, 'EMPTY_SET': set}
_TUPLES = {'EMPTY_TUPLE': 0, 'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_LITERALS = {
    'BININT', 'BININT1', 'BININT2', 'LONG1', 'LONG4', 'BINFLOAT',
    'BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8',
    'BINSTRING', 'SHORT_BINSTRING', 'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8',
}  # fmt: skip


def load(
    stream: Any,
    path: pathlib.Path,
    storages: dict[str, torch_values.Storage] | None = None,
) -> Any:
  """Returns the plain value of a pickle.

  A tensor becomes a `torch_values.Tensor`, without reading its elements. An
  ordered dict becomes a dict, and an object a `torch_values.Instance`.

  Args:
    stream: binary file at the start of the pickle; afterwards at its end.
    path: file to name in messages.
    storages: receives all storages of the pickle, by key.

  Raises:
    InputError: if the pickle is broken or asks for other calls.
  """
  machine = _Machine(path, {} if storages is None else storages)
  try:
    for opcode, argument, _ in pickletools.genops(stream):
      if opcode.name == 'STOP':
        return machine.pop()
      machine.execute(opcode.name, argument)
  except (ValueError, TypeError, LookupError, AttributeError) as e:
    raise errors.InputError(
        f'{path}: contains a broken pickle ({e}); copy or download it again'
    ) from e
  raise errors.InputError(
      f'{path}: contains a pickle without an end; copy or download it again'
  )


class _Machine:
  """Stack machine that follows the instructions of a pickle."""

  def __init__(
      self, path: pathlib.Path, storages: dict[str, torch_values.Storage]
  ):
    self._path = path
    self._storages = storages
    self._stack = []
    self._outer_stacks = []  # one for each open mark
    self._memo = {}

  def execute(self, name: str, argument: Any) -> None:
    """Executes one instruction."""
    if name in _LITERALS:
      self._stack.append(argument)
    elif name in _CONSTANTS:
      self._stack.append(_CONSTANTS[name])
    elif name in _EMPTY:
      self._stack.append(_EMPTY[name]())
    elif name in _TUPLES:
      items = [self.pop() for _ in range(_TUPLES[name])]
      self._stack.append(tuple(reversed(items)))
    elif name in _INSTRUCTIONS:
      _INSTRUCTIONS[name](self, argument)
    else:
      self._refuse(f'the pickle instruction {name}')

  def pop(self) -> Any:
    """Removes the top value of the stack and returns it."""
    return self._stack.pop()

  def _refuse(self, request: str) -> NoReturn:
    raise errors.InputError(
        f'{self._path}: asks for {request}, which is neither a tensor nor plain '
        f'data; no code was executed; {RESAVE}'
    )

  def ignore(self, _) -> None:
    """Skips an instruction without a value."""

  def mark(self, _) -> None:
    self._outer_stacks.append(self._stack)
    self._stack = []

  def _since_mark(self) -> list[Any]:
    items, self._stack = self._stack, self._outer_stacks.pop()
    return items

  def put(self, key: int) -> None:
    self._memo[key] = self._stack[-1]

  def memoize(self, _) -> None:
    self.put(len(self._memo))

  def get(self, key: int) -> None:
    self._stack.append(self._memo[key])

  def push_global(self, name: str) -> None:
    self._stack.append(_Global(name))

  def push_stacked_global(self, _) -> None:
    name, module = self.pop(), self.pop()
    self.push_global(f'{module} {name}')

  def call(self, _) -> None:
    arguments, constructor = self.pop(), self.pop()
    if not isinstance(constructor, _Global):
      self._refuse(f'a call of {type(constructor).__name__}')
    if constructor.name in torch_values.CONSTRUCTORS:
      make = torch_values.CONSTRUCTORS[constructor.name]
      self._stack.append(make(*arguments))
    elif torch_values.is_inert(constructor.name):
      self._stack.append(torch_values.Instance(constructor.name))
    else:
      self._refuse('.'.join(constructor.name.split()))

  def make_object_by_name(self, _) -> None:
    self.pop()  # arguments by name
    self.make_object(None)

  def make_object(self, _) -> None:
    constructor = self._stack[-2]
    if (
        not isinstance(constructor, _Global)
        or constructor.name in torch_values.CONSTRUCTORS
    ):
      self.call(None)
      return
    # The effect of the arguments on its `__new__` is unknown: drop them.
    self.pop()
    self.pop()
    self._stack.append(torch_values.Instance(constructor.name))

  def set_state(self, _) -> None:
    state, target = self.pop(), self._stack[-1]
    if isinstance(target, torch_values.Instance):
      # An object with slots has a second dict for them. Other kinds of state
      # belong to helper objects, whose content is not needed.
      for part in state if isinstance(state, tuple) else (state,):
        target.update(part if isinstance(part, dict) else {})
    elif not isinstance(target, dict):
      # An ordered dict has a state of PyTorch, which we do not need. No other
      # type has one.
      self._refuse(f'a state for {type(target).__name__}')

  def persistent(self, _) -> None:
    kind, class_name, *rest = self.pop()
    if kind == 'module':  # a class and its source text
      self._stack.append(class_name)
    else:
      self._stack.append(self._storage(kind, class_name, *rest))

  def _storage(self, kind, class_name, key, _, size, *view):
    dtype = torch_values.STORAGES.get(class_name.name)
    if kind != 'storage' or dtype is None or any(view):
      raise ValueError('a tensor in a form that current PyTorch does not write')
    if type(key) is not str or type(size) is not int or size < 0:
      raise ValueError('a storage without a name or a size')
    self._storages[key] = torch_values.Storage(dtype, key, size)
    return self._storages[key]

  def make_tuple(self, _) -> None:
    items = self._since_mark()
    self._stack.append(tuple(items))

  def append(self, _) -> None:
    self._fill(list.append, self.pop())

  def extend(self, _) -> None:
    self._fill(list.extend, self._since_mark())

  def add_items(self, _) -> None:
    self._fill(set.update, self._since_mark())

  def _fill(self, method, value) -> None:
    # The items of an object that is not plain are not needed.
    if not isinstance(self._stack[-1], torch_values.Instance):
      method(self._stack[-1], value)

  def set_item(self, _) -> None:
    value, key = self.pop(), self.pop()
    dict.__setitem__(self._stack[-1], key, value)

  def set_items(self, _) -> None:
    items = self._since_mark()
    pairs = zip(items[::2], items[1::2], strict=True)
    dict.update(self._stack[-1], pairs)


_INSTRUCTIONS = {
    'PROTO': _Machine.ignore,
    'FRAME': _Machine.ignore,
    'MARK': _Machine.mark,
    'BINPUT': _Machine.put,
    'LONG_BINPUT': _Machine.put,
    'MEMOIZE': _Machine.memoize,
    'BINGET': _Machine.get,
    'LONG_BINGET': _Machine.get,
    'GLOBAL': _Machine.push_global,
    'STACK_GLOBAL': _Machine.push_stacked_global,
    'REDUCE': _Machine.call,
    'NEWOBJ': _Machine.make_object,
    'NEWOBJ_EX': _Machine.make_object_by_name,
    'BUILD': _Machine.set_state,
    'BINPERSID': _Machine.persistent,
    'TUPLE': _Machine.make_tuple,
    'APPEND': _Machine.append,
    'APPENDS': _Machine.extend,
    'ADDITEMS': _Machine.add_items,
    'SETITEM': _Machine.set_item,
    'SETITEMS': _Machine.set_items,
}
