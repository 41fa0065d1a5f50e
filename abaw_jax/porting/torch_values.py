"""Plain data for all types that the pickle of a weights file may contain."""

import _compat_pickle  # old names of modules, which protocol 2 writes
from collections.abc import Callable
import sys
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np


class Storage(NamedTuple):
  """A flat array, stored next to the pickle."""

  dtype: np.dtype
  key: str
  size: int  # elements


class Tensor(NamedTuple):
  """A view of a storage; offset and strides count elements."""

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


class Instance(dict):
  """Attributes of an object by name.

  Its class is only a name: it is not looked up, and none of its code runs.
  """

  def __init__(self, class_name: str):
    super().__init__()
    self.class_name = class_name


def _rebuild_tensor(storage, offset, shape, strides, *_) -> Tensor:
  """Returns a tensor, after a check that its storage holds all elements."""
  sizes = (offset, *shape, *strides)
  if not isinstance(storage, Storage) or len(shape) != len(strides):
    raise ValueError('a tensor without a storage')
  if any(type(size) is not int or size < 0 for size in sizes):
    raise ValueError('a tensor with sizes that are no integers')
  last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
  if 0 not in shape and last >= storage.size:
    raise ValueError('a tensor that is larger than its storage')
  return Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor, *_) -> Tensor:
  if not isinstance(tensor, Tensor):
    raise ValueError('a parameter without a tensor')
  return tensor


CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    'torch._utils _rebuild_tensor_v2': _rebuild_tensor,
    'torch._utils _rebuild_parameter': _rebuild_parameter,
    'torch._utils _rebuild_parameter_with_state': _rebuild_parameter,
    'collections OrderedDict': dict,
    'builtins set': set,
    '__builtin__ set': set,
}
# Calls of the standard library, builtins and NumPy that files of PyTorch contain.
_INERT = {
    'functools partial',
    'argparse Namespace',
    'logging getLogger',
    '_codecs encode',
    'datetime datetime',
    'datetime timedelta',
    'collections Counter',
    'collections defaultdict',
    'collections deque',
    *(
        f'pathlib{module} {name}'
        for module in ('', '._local')
        for name in ('PosixPath', 'WindowsPath', 'PurePosixPath')
    ),
    *(
        f'{module} {name}'
        for module in ('builtins', '__builtin__')
        for name in ('getattr', 'frozenset', 'bytearray', 'complex', 'slice')
    ),
    'numpy dtype',
    'numpy ndarray',
    *(
        f'numpy.{module}.multiarray {name}'
        for module in ('core', '_core')
        for name in ('scalar', '_reconstruct')
    ),
}
_REFUSED = (
    sys.stdlib_module_names | _compat_pickle.IMPORT_MAPPING.keys() | {'numpy'}
)
STORAGES = {
    'torch DoubleStorage': np.dtype('<f8'),
    'torch FloatStorage': np.dtype('<f4'),
    'torch HalfStorage': np.dtype('<f2'),
    'torch BFloat16Storage': np.dtype(ml_dtypes.bfloat16),
    'torch LongStorage': np.dtype('<i8'),
    'torch IntStorage': np.dtype('<i4'),
    'torch ShortStorage': np.dtype('<i2'),
    'torch CharStorage': np.dtype('i1'),
    'torch ByteStorage': np.dtype('u1'),
    'torch BoolStorage': np.dtype('?'),
    'torch.storage UntypedStorage': np.dtype('u1'),
}


def is_inert(name: str) -> bool:
  """Returns whether a call may become an `Instance` without attributes.

  Such a call is not executed: `Instance` keeps only the name. Helper objects of
  networks (an enum of timm, `torch.device`, a partial) are such calls. Other
  functions of the standard library, of NumPy and builtins have no place in a
  file of weights, so a file that asks for them is refused.

  Args:
    name: module and name of a class or function, separated by a space.
  """
  root = name.split()[0].split('.')[0]
  refused = root in _REFUSED or name in STORAGES or '.' in name.split()[-1]
  return name in _INERT or not refused
