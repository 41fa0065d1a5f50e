"""A lock that allows only one build of a dataset at a time."""

from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib
import socket

from abaw_jax.core import errors


@contextlib.contextmanager
def held(path: pathlib.Path) -> Iterator[None]:
  """Holds a lock; the system releases it when this process ends or is killed.

  Args:
    path: file of the lock. It is not removed, and names the last holder.

  Raises:
    InputError: another process holds it.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('a+', encoding='utf-8') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
      file.seek(0)
      raise errors.InputError(
          f'{path}: {file.read() or "another process"} is building this dataset; '
          'wait for it or stop it, then run the same command again'
      ) from e
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}')
    file.flush()
    yield
