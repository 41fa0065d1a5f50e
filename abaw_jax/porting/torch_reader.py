"""Reads files of `torch.save` without PyTorch and without executing code.

Reads both formats: the zip file of PyTorch 1.6 and later, and the older sequence
of pickles and raw storages.
"""

from collections.abc import Callable, Mapping
import functools
import mmap
import pathlib
from typing import Any, BinaryIO
import zipfile

import numpy as np

from abaw_jax.core import errors
from abaw_jax.porting import pickles, torch_modules, torch_values

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
# Keys under which a checkpoint may hold its state dict.
_STATE_DICT_KEYS = ('model', 'state_dict')

_ReadStorage = Callable[[torch_values.Storage], Any]


def read_checkpoint(
    path: pathlib.Path,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Returns tensors of a state dict by name, and training arguments.

  Checkpoints of facebookresearch/mae hold the arguments of the training script
  as `args`; other files give an empty dict. A pickled module counts as its state
  dict.

  Raises:
    InputError: if the file is broken, is no PyTorch file, asks for code to be
      executed, or holds no state dict.
  """
  with path.open('rb') as file:
    is_zip = file.read(4) == b'PK\x03\x04'
    file.seek(0)
    content, read_storage = (_open_zip if is_zip else _open_legacy)(file, path)
    try:
      tensors = {
          name: _to_numpy(tensor, read_storage)
          for name, tensor in _state_dict(content, path).items()
      }
    except (ValueError, LookupError, OSError, zipfile.BadZipFile) as e:
      raise _broken(path, e) from e
  arguments = content.get('args')
  return tensors, arguments if isinstance(arguments, dict) else {}


def _open_zip(file: BinaryIO, path: pathlib.Path) -> tuple[Any, _ReadStorage]:
  """Returns the pickled object, and a function from a storage to its bytes."""
  try:
    archive = zipfile.ZipFile(file)
    names = archive.namelist()
    roots = [x.removesuffix('data.pkl') for x in names if _is_pickle(x)]
    if len(roots) != 1 or f'{roots[0]}constants.pkl' in names:
      raise errors.InputError(
          f'{path}: is a zip file, but not from torch.save (perhaps a '
          f'TorchScript module); {pickles.RESAVE}'
      )
    root = roots[0]
    if f'{root}byteorder' in names:
      _check_byte_order(archive.read(f'{root}byteorder') == b'little', path)
    with archive.open(f'{root}data.pkl') as stream:
      content = pickles.load(stream, path)
  except (zipfile.BadZipFile, OSError) as e:
    raise _broken(path, e) from e

  @functools.cache
  def read_storage(storage: torch_values.Storage) -> bytes:
    return archive.read(f'{root}data/{storage.key}')

  return content, read_storage


def _is_pickle(name: str) -> bool:
  return name.count('/') == 1 and name.endswith('/data.pkl')


def _open_legacy(
    file: BinaryIO, path: pathlib.Path
) -> tuple[Any, _ReadStorage]:
  """Returns the pickled object, and a function from a storage to its bytes."""
  foreign = errors.InputError(
      f'{path}: is no file of torch.save; give a .pth or .safetensors file'
  )
  if file.read(1) != b'\x80':  # first byte of a pickle
    raise foreign
  data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
  if pickles.load(data, path) != _LEGACY_MAGIC:
    raise foreign
  if pickles.load(data, path) != _LEGACY_PROTOCOL:
    raise foreign
  system = pickles.load(data, path)
  _check_byte_order(system.get('little_endian') is True, path)
  storages = {}
  content = pickles.load(data, path, storages)
  keys = pickles.load(data, path)
  try:
    places = _legacy_places(data, keys, storages)
  except (ValueError, LookupError, TypeError) as e:
    raise _broken(path, e) from e
  return content, lambda storage: places[storage.key]


def _legacy_places(
    data: mmap.mmap, keys: Any, storages: Mapping[str, torch_values.Storage]
) -> dict[str, memoryview]:
  """Returns the bytes of every storage by key, from the end of the file."""
  places = {}
  start = data.tell()
  for key in keys:
    size = int.from_bytes(data[start : start + 8], 'little')
    if size != storages[key].size:
      raise ValueError(f'storage {key} holds {size} elements')
    start += 8
    end = start + size * storages[key].dtype.itemsize
    places[key] = memoryview(data)[start:end]
    start = end
  if start > len(data):
    raise ValueError(f'{start - len(data)} bytes are missing')
  return places


def _state_dict(
    content: Any, path: pathlib.Path
) -> Mapping[str, torch_values.Tensor]:
  """Returns the state dict of a checkpoint, or raises an InputError."""
  state = content
  for part in _STATE_DICT_KEYS:
    if isinstance(content, dict) and isinstance(content.get(part), dict):
      state = content[part]
      break
  if isinstance(state, torch_values.Instance):
    state = torch_modules.state_dict(state, path)
  if not isinstance(state, dict):
    raise errors.InputError(
        f'{path}: contains a {type(state).__name__} and no state dict; '
        f'{pickles.RESAVE}'
    )
  for name, value in state.items():
    if not isinstance(value, torch_values.Tensor):
      raise errors.InputError(
          f'{path}: {name} is a {type(value).__name__} and no tensor; '
          f'{pickles.RESAVE}'
      )
  return state


def _to_numpy(
    tensor: torch_values.Tensor, read_storage: _ReadStorage
) -> np.ndarray:
  """Returns a view of the storage; NumPy checks its bounds."""
  data = read_storage(tensor.storage)
  itemsize = tensor.storage.dtype.itemsize
  if len(data) != tensor.storage.size * itemsize:
    raise ValueError(f'storage {tensor.storage.key} has {len(data)} bytes')
  return np.ndarray(
      tensor.shape,
      tensor.storage.dtype,
      data,
      offset=tensor.offset * itemsize,
      strides=[stride * itemsize for stride in tensor.strides],
  )


def _check_byte_order(is_little: bool, path: pathlib.Path) -> None:
  if not is_little:
    raise errors.InputError(
        f'{path}: was written on a big-endian machine; save it again on a '
        'little-endian one'
    )


def _broken(path: pathlib.Path, cause: Exception) -> errors.InputError:
  return errors.InputError(
      f'{path}: is incomplete or damaged ({cause}); copy or download it again'
  )
