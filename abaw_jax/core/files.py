"""Files and folders that appear complete or not at all."""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import shutil
from typing import Any
import uuid

from abaw_jax.core import storage_errors

_CLUTTER = ('__macosx', '.ds_store', 'thumbs.db', 'desktop.ini')


def is_clutter(name: str) -> bool:
  """Returns whether a path leads to a file that only macOS or Windows uses."""
  parts = name.lower().split('/')
  return any(part.startswith('._') or part in _CLUTTER for part in parts)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a temporary path in the same folder; it replaces `path` at the end.

  Write a file or a folder there. If the block raises an exception or removes
  the temporary path, `path` does not change. A killed process leaves a `*.tmp`
  file.

  Args:
    path: file to create or replace, or folder to create; its parents are made.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'{path.name}.{uuid.uuid4().hex[:8]}.tmp')
  try:
    yield temporary
    if temporary.exists():
      os.replace(temporary, path)
  finally:
    if temporary.is_dir():
      shutil.rmtree(temporary, ignore_errors=True)
    else:
      temporary.unlink(missing_ok=True)


def write(path: pathlib.Path, content: bytes | str) -> None:
  """Creates or replaces a file in one step; text is UTF-8.

  Raises:
    InputError: the file cannot be written, for example on a full disk.
  """
  data = content.encode() if isinstance(content, str) else content
  with (
      storage_errors.writing(path.parent, path.name),
      replacing(path) as temporary,
  ):
    temporary.write_bytes(data)


def write_json(path: pathlib.Path, value: Any) -> None:
  """Creates or replaces a JSON file in one step; raises as `write`."""
  write(path, json.dumps(value, indent=2) + '\n')
