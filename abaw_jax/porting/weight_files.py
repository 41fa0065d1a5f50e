"""Files of named tensors: `.pth` of PyTorch and `.safetensors`."""

from collections.abc import Callable, Mapping
import hashlib
import pathlib
from typing import Any

import ml_dtypes  # noqa: F401, teaches NumPy bfloat16, for safetensors
import numpy as np
import safetensors
import safetensors.numpy

from abaw_jax.core import errors, files, storage_errors
from abaw_jax.porting import torch_reader, torch_writer


def read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Returns tensors by name, and the arguments of the training beside them.

  No code in the file is executed. The arguments are empty where a file has none.

  Raises:
    InputError: if there is no such file, or it is broken or of another kind.
  """
  reader = _choose(READERS, path)
  if not path.is_file():
    raise errors.InputError(f'{path}: no such file; name one that is there')
  return reader(path)


def write(path: pathlib.Path, tensors: Mapping[str, np.ndarray]) -> bool:
  """Writes float32 tensors by name; returns False if they are there already.

  The file is whole or not there, whatever kills us.

  Raises:
    InputError: if the file's kind is unknown, or another file stands there.
  """
  writer = _choose(WRITERS, path)
  with (
      storage_errors.writing(path.parent, path.name),
      files.replacing(path) as temporary,
  ):
    writer(temporary, tensors)
    if path.exists():
      if not path.is_file() or sha256(path) != sha256(temporary):
        raise errors.InputError(
            f'{path}: holds something else; name another --out or remove it'
        )
      temporary.unlink()
      return False
  return True


def sha256(path: pathlib.Path) -> str:
  """Returns the checksum of a file."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _choose(choices: Mapping[str, Callable[..., Any]], path: pathlib.Path):
  if path.suffix not in choices:
    raise errors.InputError(
        f'{path}: is a file of an unknown kind; name one that ends in '
        f'{" or ".join(choices)}'
    )
  return choices[path.suffix]


def _read_safetensors(
    path: pathlib.Path,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  try:
    return safetensors.numpy.load_file(path), {}
  except (safetensors.SafetensorError, TypeError) as e:
    raise errors.InputError(
        f'{path}: cannot be read as safetensors ({e}); copy or download it '
        'again'
    ) from e


def _write_safetensors(
    path: pathlib.Path, tensors: Mapping[str, np.ndarray]
) -> None:
  # safetensors writes the memory of an array as it lies.
  packed = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
  safetensors.numpy.save_file(packed, path, metadata={'format': 'pt'})


READERS = {
    '.pth': torch_reader.read,
    '.pt': torch_reader.read,
    '.safetensors': _read_safetensors,
}
WRITERS = {
    '.pth': torch_writer.write,
    '.safetensors': _write_safetensors,
}
