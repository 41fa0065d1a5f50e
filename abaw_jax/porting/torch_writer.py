"""Writes float32 tensors in the format of `torch.save`, without PyTorch."""

from collections.abc import Mapping
import pathlib
import pickle
from typing import Any
import zipfile

import numpy as np


def write_checkpoint(
    path: pathlib.Path, tensors: Mapping[str, np.ndarray], key: str = 'model'
) -> None:
  """Writes `{key: {name: tensor}}` for `torch.load(weights_only=True)`.

  The same names and values always give the same bytes.

  Args:
    path: file to write, usually `.pth`.
    tensors: float32 arrays by name.
    key: name of the state dict.
  """
  with zipfile.ZipFile(path, 'w') as archive:
    _add(archive, 'data.pkl', _pickled(tensors, key))
    _add(archive, 'byteorder', b'little')
    for key, tensor in enumerate(tensors.values()):
      _add(archive, f'data/{key}', tensor.astype('<f4').tobytes())
    _add(archive, 'version', b'3\n')


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
  # ZipInfo always has the same date. Entries are not compressed, because PyTorch
  # maps them into memory.
  archive.writestr(zipfile.ZipInfo(f'archive/{name}'), content)


def _pickled(tensors: Mapping[str, np.ndarray], key: str) -> bytes:
  """Returns the pickle of `{key: tensors}` with numbered storages.

  `pickle.dumps` would import PyTorch for its globals, so this writes the
  instructions itself.
  """
  items = b''.join(
      _plain(name) + _tensor(str(number), tensor.shape)
      for number, (name, tensor) in enumerate(tensors.items())
  )
  model = _plain(key) + b'}(' + items + b'u'
  return b'\x80\x02' + b'}(' + model + b'u' + b'.'


def _tensor(key: str, shape: tuple[int, ...]) -> bytes:
  """Returns the instructions that rebuild a contiguous tensor."""
  strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
  return b''.join(
      [
          b'ctorch._utils\n_rebuild_tensor_v2\n(',
          b'(' + _plain('storage') + b'ctorch\nFloatStorage\n',
          _plain(key) + _plain('cpu') + _plain(int(np.prod(shape))),
          b'tQ',  # the storage with this key
          _plain(0) + _plain(shape) + _plain(strides) + _plain(False),
          b'ccollections\nOrderedDict\n)R',  # no hooks
          b'tR',
      ]
  )


def _plain(value: Any) -> bytes:
  """Returns the instructions that push a plain value."""
  return pickle.dumps(value, protocol=2)[2:-1]  # without header and STOP
