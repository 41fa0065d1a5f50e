"""Writes float32 tensors as `torch.save` would, without PyTorch."""

from collections.abc import Mapping
import pathlib
import pickle
from typing import Any
import zipfile

import numpy as np


def write(path: pathlib.Path, tensors: Mapping[str, np.ndarray]) -> None:
  """Writes `{'model': {name: tensor}}` such that `torch.load` reads it.

  The file depends on names and values alone, so the same weights give the same
  bytes. It holds no more than `weights_only=True` allows.

  Args:
    path: file to write, `.pth` by custom.
    tensors: float32 arrays by name.
  """
  with zipfile.ZipFile(path, 'w') as archive:
    _add(archive, 'data.pkl', _pickled(tensors))
    _add(archive, 'byteorder', b'little')
    for key, tensor in enumerate(tensors.values()):
      _add(archive, f'data/{key}', tensor.astype('<f4').tobytes())
    _add(archive, 'version', b'3\n')


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
  # ZipInfo carries the same date always; entries are not compressed, because
  # PyTorch maps them into memory.
  archive.writestr(zipfile.ZipInfo(f'archive/{name}'), content)


def _pickled(tensors: Mapping[str, np.ndarray]) -> bytes:
  """Returns the pickle of `{'model': tensors}`, whose storages are numbered.

  `pickle.dumps` would import PyTorch for the globals, so these are spelled out.
  """
  items = b''.join(
      _plain(name) + _tensor(str(key), tensor.shape)
      for key, (name, tensor) in enumerate(tensors.items())
  )
  model = _plain('model') + b'}(' + items + b'u'
  return b'\x80\x02' + b'}(' + model + b'u' + b'.'


def _tensor(key: str, shape: tuple[int, ...]) -> bytes:
  """Returns the instructions that rebuild a contiguous tensor."""
  strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
  return b''.join(
      [
          b'ctorch._utils\n_rebuild_tensor_v2\n(',
          b'(' + _plain('storage') + b'ctorch\nFloatStorage\n',
          _plain(key) + _plain('cpu') + _plain(int(np.prod(shape))),
          b'tQ',  # a storage by its name
          _plain(0) + _plain(shape) + _plain(strides) + _plain(False),
          b'ccollections\nOrderedDict\n)R',  # no hooks
          b'tR',
      ]
  )


def _plain(value: Any) -> bytes:
  """Returns the instructions that push a plain value."""
  return pickle.dumps(value, protocol=2)[2:-1]  # without start and end
