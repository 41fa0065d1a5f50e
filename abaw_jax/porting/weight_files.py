"""Files of named tensors: those of PyTorch, and `.safetensors`."""

from collections.abc import Callable, Mapping
import hashlib
import pathlib
from typing import Any

import ml_dtypes  # noqa: F401, adds bfloat16 to NumPy, for safetensors
import numpy as np
import safetensors
import safetensors.numpy

from abaw_jax.core import errors, files, storage_errors
from abaw_jax.porting import torch_reader, torch_writer


def read_tensors(
    path: pathlib.Path, *, key: str | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Returns tensors by name, and facts as `torch_reader.read_checkpoint`.

  Executes no code of the file. `key` chooses one of several state dicts.

  Raises:
    InputError: if there is no such file, it is broken, or its suffix is unknown.
  """
  reader = _choose(READERS, path)
  if not path.is_file():
    raise errors.InputError(f'{path}: no such file; give an existing one')
  return reader(path, key=key)


def write_tensors(
    path: files.Path, tensors: Mapping[str, np.ndarray], *, key: str = 'model'
) -> bool:
  """Writes float32 tensors by name; returns False if the file has them already.

  The file appears complete or not at all. In a `.pth` file, `key` is the name of
  the state dict.

  Raises:
    InputError: if the suffix is unknown, or the file has other content.
  """
  writer = _choose(WRITERS, path)
  with (
      storage_errors.writing(path.parent, path.name),
      files.replacing(path) as temporary,
  ):
    writer(temporary, tensors, key)
    if path.exists():
      if not path.is_file() or sha256(path) != sha256(temporary):
        raise errors.InputError(
            f'{path}: has other content; give another --out or remove it'
        )
      temporary.unlink()
      return False
  return True


def sha256(path: files.Path) -> str:
  """Returns the SHA-256 checksum of a file in hexadecimal."""
  with files.local_copy(path) as copy, copy.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _choose(choices: Mapping[str, Callable[..., Any]], path: files.Path):
  if path.suffix not in choices:
    raise errors.InputError(
        f'{path}: unknown type of file; give a file that ends in '
        f'{" or ".join(choices)}'
    )
  return choices[path.suffix]


def _read_safetensors(
    path: pathlib.Path, *, key: str | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  if key is not None:
    raise errors.InputError(
        f'--state_dict={key}: {path} has only one; omit the flag'
    )
  try:
    return safetensors.numpy.load_file(path), {}
  except (safetensors.SafetensorError, TypeError) as e:
    raise errors.InputError(
        f'{path}: cannot be read as safetensors ({e}); copy or download it '
        'again'
    ) from e


def _write_safetensors(
    path: pathlib.Path, tensors: Mapping[str, np.ndarray], key: str
) -> None:
  del key
  # safetensors writes the memory of an array and ignores its strides.
  packed = {name: np.ascontiguousarray(x) for name, x in tensors.items()}
  path.touch()
  mode = path.stat().st_mode
  safetensors.numpy.save_file(packed, path, metadata={'format': 'pt'})
  path.chmod(mode)  # `save_file` lets only the owner read the file


READERS = {
    '.safetensors': _read_safetensors,
    **dict.fromkeys(
        # `.tar` is for `.pth.tar`, which is no tar archive.
        ('.pth', '.pt', '.bin', '.ckpt', '.tar', '.pkl', '.th'),
        torch_reader.read_checkpoint,
    ),
}
WRITERS = {
    '.pth': torch_writer.write_checkpoint,
    '.safetensors': _write_safetensors,
}
