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
# Names of the tensors of a single layer, such as the classes of ArcFace.
_LAYER = {'weight', 'bias'}
# A file of BasicSR with both: its own scripts use the EMA.
_BASICSR, _BASICSR_EMA = {'params', 'params_ema'}, 'params_ema'

_ReadStorage = Callable[[torch_values.Storage], Any]


def read_checkpoint(
    path: pathlib.Path, *, key: str | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Returns tensors of a state dict by name, and facts about the network.

  The facts are the arguments of the training script (`args` of a checkpoint), its
  `arch`, those of `torch_modules.facts`, and `state_dict`, if it was chosen from
  several. A pickled module counts as its state dict.

  Args:
    path: file to read.
    key: where a checkpoint has its state dict, such as `model_ema`; None takes
      the only one, or `params_ema` next to `params`.

  Raises:
    InputError: if the file is broken, is no PyTorch file, asks for code to be
      executed, or holds no state dict, or several of them without a `key`.
  """
  with path.open('rb') as file:
    is_zip = file.read(4) == b'PK\x03\x04'
    file.seek(0)
    content, read_storage = (_open_zip if is_zip else _open_legacy)(file, path)
    facts = _facts(content)
    if key is None and _states(content, path).keys() == _BASICSR:
      key = facts['state_dict'] = _BASICSR_EMA
    state = _choose_state(content, path, key)
    if isinstance(state, torch_values.Instance):
      facts |= torch_modules.facts(state, path)
      state = torch_modules.state_dict(state, path)
    _check_tensors(state, path)
    try:
      tensors = {
          name: _to_numpy(tensor, read_storage)
          for name, tensor in state.items()
      }
    except (ValueError, LookupError, OSError, zipfile.BadZipFile) as e:
      raise _broken(path, e) from e
  return tensors, facts


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


def _facts(content: Any) -> dict[str, Any]:
  """Returns the facts of a checkpoint about the training of its network."""
  if not isinstance(content, dict):
    return {}
  arguments, arch = content.get('args'), content.get('arch')
  facts = dict(arguments) if isinstance(arguments, dict) else {}
  return facts | ({'arch': arch} if isinstance(arch, str) else {})


def _choose_state(content: Any, path: pathlib.Path, key: str | None) -> Any:
  """Returns the state dict or module at `key`, or the only one."""
  states = _states(content, path)
  if key is None and len(states) > 1:
    raise errors.InputError(
        f'{path}: has several networks ({", ".join(states)}); choose one with '
        '--state_dict=NAME'
    )
  if key is not None and key not in states:
    raise errors.InputError(
        f'--state_dict={key}: {path} has {", ".join(states) or "only one"}; '
        'name one of them, or omit the flag'
    )
  if states:
    return states[key or next(iter(states))]
  if isinstance(content, dict) and isinstance(content.get('model'), dict):
    return content['model']
  return content


def _states(content: Any, path: pathlib.Path, depth: int = 2) -> dict[str, Any]:
  """Returns the state dicts and modules inside a checkpoint, by key.

  Leaves out single layers. The key of a nested one has dots, such as
  `ema.module`.
  """
  if not isinstance(content, dict) or torch_modules.is_module(content):
    return {}
  found = {}
  for name, value in content.items():
    if torch_modules.is_module(value):
      tensors = torch_modules.state_dict(value, path)
    else:
      tensors = value if _has_tensor(value) else {}
    if tensors.keys() - _LAYER:
      found[str(name)] = value
    elif not tensors and depth > 1:
      nested = _states(value, path, depth - 1)
      found |= {f'{name}.{key}': state for key, state in nested.items()}
  return found


def _has_tensor(value: Any) -> bool:
  return isinstance(value, dict) and any(
      isinstance(x, torch_values.Tensor) for x in value.values()
  )


def _check_tensors(state: Any, path: pathlib.Path) -> None:
  """Raises an InputError if a state dict has other values than tensors."""
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
