"""Uploads and downloads; an object appears when all of it is there."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import typing

from abaw_jax.buckets import failures, paths

if typing.TYPE_CHECKING:
  from etils import epath

_THREADS = 8


def write(path: epath.Path, content: bytes) -> None:
  """Creates or replaces one object."""
  with failures.named(str(path)):
    paths.file_system(path).pipe_file(os.fspath(path), content)


def upload(local: pathlib.Path, remote: epath.Path) -> None:
  """Creates or replaces one object."""
  with failures.named(str(remote)):
    paths.file_system(remote).put_file(os.fspath(local), os.fspath(remote))


def upload_folder(
    local: pathlib.Path, remote: epath.Path, *, last: str | None = None
) -> None:
  """Uploads all files below a folder.

  Args:
    local: the folder.
    remote: where its content goes.
    last: name of the file that readers look for. It is removed first and
      uploaded after all others, so an incomplete folder is not read.
  """
  names = [
      path.relative_to(local).as_posix()
      for path in sorted(local.rglob('*'))
      if path.is_file() and path.relative_to(local).as_posix() != last
  ]
  if last is not None:
    with failures.named(str(remote)):
      (remote / last).unlink(missing_ok=True)
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    for job in [
        pool.submit(upload, local / name, remote / name) for name in names
    ]:
      job.result()
  if last is not None:
    upload(local / last, remote / last)


def download(remote: epath.Path, local: pathlib.Path) -> None:
  """Copies one object to a new local file, whose folder is made.

  Raises:
    FileNotFoundError: there is no such object.
  """
  local.parent.mkdir(parents=True, exist_ok=True)
  with failures.named(str(remote)):
    paths.file_system(remote).get_file(os.fspath(remote), os.fspath(local))


def move_folder(folder: epath.Path, target: epath.Path) -> None:
  """Renames a folder: the bucket copies each object, then all are removed."""
  with failures.named(str(folder)):
    system = paths.file_system(folder)
    _, _, root = os.fspath(folder).partition('://')  # `find` omits the scheme
    for name in system.find(os.fspath(folder)):
      system.cp_file(name, f'{os.fspath(target)}{name.removeprefix(root)}')
    folder.rmtree()
