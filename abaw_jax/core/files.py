"""Paths on disks and in buckets, and files that appear complete or not at all."""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import typing
from typing import Any
import uuid

from abaw_jax.buckets import failures, paths, transfers
from abaw_jax.core import errors, storage_errors

if typing.TYPE_CHECKING:
  from etils import epath

  # A path on a disk, or gs:// or s3:// in a bucket. Both have the methods of
  # pathlib that this project uses.
  Path = pathlib.Path | epath.Path
else:
  # Both are subclasses; the import of epath would slow --help down.
  Path = pathlib.PurePath

_CLUTTER = ('__macosx', '.ds_store', 'thumbs.db', 'desktop.ini')

is_bucket = paths.is_bucket


def path(text: str | os.PathLike[str]) -> Path:
  """Returns the path that a user names: a local one, gs:// or s3://.

  Raises:
    InputError: it is in a bucket that does not exist, does not answer or refuses,
      or the package for its kind of bucket is missing.
  """
  if isinstance(text, pathlib.PurePath):
    return text
  if not paths.is_bucket(text):
    return pathlib.Path(text)
  try:
    return paths.open_path(os.fspath(text))
  except failures.BucketError as e:
    raise errors.InputError(str(e)) from e


def local_path(text: str | os.PathLike[str], flag: str) -> pathlib.Path:
  """Returns a path that must be on a disk; raises an InputError otherwise."""
  if paths.is_bucket(text):
    raise errors.InputError(
        f'{flag}={text}: copy it to a local disk first, for example with '
        '`gcloud storage cp -r` or `aws s3 cp --recursive`'
    )
  return pathlib.Path(text)


def cache_folder(name: str) -> pathlib.Path:
  """Returns `~/.cache/abaw_jax/<name>`, or the same in $XDG_CACHE_HOME."""
  root = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  return pathlib.Path(root) / 'abaw_jax' / name


def absolute(path: Path) -> Path:
  """Returns a path that does not depend on the working directory."""
  return path if paths.is_bucket(path) else path.resolve()


def size(path: Path) -> int:
  """Returns the number of bytes in a file."""
  found = path.stat()
  return found.length if paths.is_bucket(path) else found.st_size


def modified(path: Path) -> float:
  """Returns the time of the last write in seconds since 1970."""
  if paths.is_bucket(path):
    return paths.file_system(path).modified(os.fspath(path)).timestamp()
  return path.stat().st_mtime


@contextlib.contextmanager
def local_copy(path: Path) -> Iterator[pathlib.Path]:
  """Yields a local file with the content of `path`: itself, if it is local.

  An InputError of the block names `path`.

  Raises:
    FileNotFoundError: there is no such file.
  """
  if not paths.is_bucket(path):
    yield path
    return
  with tempfile.TemporaryDirectory() as folder:
    copy = pathlib.Path(folder) / path.name
    transfers.download(path, copy)
    try:
      yield copy
    except errors.InputError as e:
      raise errors.InputError(str(e).replace(str(copy), str(path))) from e


@contextlib.contextmanager
def filling(folder: Path, *, last: str | None = None) -> Iterator[pathlib.Path]:
  """Yields a local folder; its files are in `folder` at the end of the block.

  Args:
    folder: folder to add files to. If it is in a bucket, the local folder has the
      names of its last parents, too.
    last: as for `replacing`.
  """
  if not paths.is_bucket(folder):
    yield folder
    return
  with tempfile.TemporaryDirectory() as root:
    local = pathlib.Path(root, *folder.parts[-3:])
    local.mkdir(parents=True)
    yield local
    transfers.upload_folder(local, folder, last=last)


def copy(local: pathlib.Path, path: Path) -> None:
  """Creates or replaces a file with the content of a local one, in one step."""
  if paths.is_bucket(path):
    transfers.upload(local, path)
    return
  with replacing(path) as temporary:
    shutil.copyfile(local, temporary)


def remove(path: Path) -> None:
  """Removes a folder with its content, if it exists."""
  if paths.is_bucket(path):
    path.rmtree(missing_ok=True)
  else:
    shutil.rmtree(path, ignore_errors=True)


def is_clutter(name: str) -> bool:
  """Returns whether a path leads to a file that only macOS or Windows uses."""
  parts = name.lower().split('/')
  return any(part.startswith('._') or part in _CLUTTER for part in parts)


@contextlib.contextmanager
def replacing(path: Path, *, last: str | None = None) -> Iterator[pathlib.Path]:
  """Yields a temporary path on a disk; it replaces `path` at the end.

  Write a file or a folder there. If the block raises an exception or removes
  the temporary path, `path` does not change. A killed process leaves a `*.tmp`
  file in the same folder. A file in a bucket is uploaded at the end; it
  appears when it is complete. A folder in a bucket appears file by file.

  Args:
    path: file to create or replace, or folder to create; its parents are made.
    last: of a folder in a bucket, the file that is uploaded after all others.
      Its readers look for this file.
  """
  if paths.is_bucket(path):
    with tempfile.TemporaryDirectory() as folder:
      temporary = pathlib.Path(folder) / path.name
      yield temporary
      if temporary.is_dir():
        transfers.upload_folder(temporary, path, last=last)
      elif temporary.exists():
        transfers.upload(temporary, path)
    return
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


def write(path: Path, content: bytes | str) -> None:
  """Creates or replaces a file in one step; text is UTF-8.

  Raises:
    InputError: the file cannot be written, for example on a full disk.
  """
  data = content.encode() if isinstance(content, str) else content
  with storage_errors.writing(path.parent, path.name):
    if paths.is_bucket(path):
      transfers.write(path, data)
      return
    with replacing(path) as temporary:
      temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
  """Creates or replaces a JSON file in one step; raises as `write`."""
  write(path, json.dumps(value, indent=2) + '\n')
