"""A lock that lets only one command at a time fill a folder."""

from collections.abc import Iterator
import contextlib
import datetime
import errno
import fcntl
import os
import pathlib
import shlex
import socket
import sys
from typing import TextIO

from abaw_jax.buckets import leases, paths
from abaw_jax.core import errors, files

FILE = 'lock'  # in the folder
# Some network file systems are mounted without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
_NOT_A_FOLDER = (errno.EEXIST, errno.ENOTDIR)
# Nothing can be filled there. The command itself may find that it has nothing
# to write, or else reports the error.
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def held(
    folder: files.Path, *, inside: bool = False, wait: bool = False
) -> Iterator[None]:
  """Holds the lock of a folder; the kernel releases it if the process dies.

  In a bucket, the lock of a dead process is free after some seconds.

  Args:
    folder: folder to fill; it need not exist.
    inside: put the lock into the folder, as `FILE`, instead of next to it, as
      `<folder>.lock`. It must be next to a folder that is replaced as a unit.
    wait: of a local folder, wait until no other process holds the lock.

  Raises:
    InputError: without `wait`, another process holds the lock; the message names it.
  """
  path = files.absolute(folder)
  path = path / FILE if inside else path.with_name(f'{path.name}.lock')
  if paths.is_bucket(path):
    with _holding_lease(path, folder):
      yield
    return
  is_new = not path.parent.exists()
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _open(path, folder, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
  except OSError as e:
    if e.errno in _NOT_A_FOLDER:
      raise errors.InputError(f'{folder} is a file; name a folder') from e
    if e.errno in _NO_LOCKS:
      print(f'{folder}: no locks here; start only one command at a time for it')
    elif e.errno not in _READ_ONLY:
      raise errors.InputError(
          f'{path}: cannot be written ({e.strerror})'
      ) from e
    yield
    return
  try:
    with file:
      with contextlib.suppress(PermissionError):  # the file is another user's
        os.fchmod(file.fileno(), 0o666)
      file.truncate(0)
      file.write(_holder())
      file.flush()
      try:
        yield
      finally:
        path.unlink(missing_ok=True)
  finally:
    if is_new:
      with contextlib.suppress(OSError):  # it has content now
        path.parent.rmdir()


def _open(path: pathlib.Path, folder: pathlib.Path, mode: int) -> TextIO:
  """Returns the locked file."""
  while True:
    file = path.open('a+', encoding='utf-8', errors='backslashreplace')
    try:
      fcntl.flock(file, mode)
    except BlockingIOError as e:
      file.seek(0)
      holder = file.read() or 'another process'
      file.close()
      raise _conflict(folder, holder) from e
    except OSError:
      file.close()
      raise
    # The last holder may have removed the file after this process opened it.
    with contextlib.suppress(FileNotFoundError):
      if os.path.samestat(os.fstat(file.fileno()), path.stat()):
        return file
    file.close()


@contextlib.contextmanager
def _holding_lease(path: files.Path, folder: files.Path) -> Iterator[None]:
  """Holds the lock of a folder in a bucket."""
  with contextlib.ExitStack() as stack:
    try:
      stack.enter_context(leases.held(path, _holder()))
    except leases.HeldError as e:
      raise _conflict(folder, str(e)) from e
    yield


def _conflict(folder: files.Path, holder: str) -> errors.InputError:
  return errors.InputError(
      f'{folder}: is being filled by {holder}; wait for it or stop it, then '
      'run the same command again, or name another folder'
  )


def _holder() -> str:
  """Returns one line about this process."""
  now = datetime.datetime.now().astimezone().isoformat(' ', 'seconds')
  command = shlex.join(sys.argv)[:300].replace('\n', ' ')
  return (
      f'process {os.getpid()} on {socket.gethostname()} since {now} ({command})'
  )
