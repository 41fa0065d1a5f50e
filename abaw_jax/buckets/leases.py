"""A lock on a bucket: an object that its holder writes again and again.

Buckets have no locks, but they can create an object only if there is none. If the
object does not change for `DEAD_S`, its holder is dead and the lock is free. On the
same machine, the end of the holder is seen at once.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import sys
import threading
import time
import typing
from typing import Any
import uuid

from abaw_jax.buckets import failures, paths

if typing.TYPE_CHECKING:
  from etils import epath

RENEW_S = 10.0
DEAD_S = 45.0


class HeldError(Exception):
  """Another process holds the lock; the text describes that process."""


@contextlib.contextmanager
def held(path: epath.Path, holder: str) -> Iterator[None]:
  """Holds a lock.

  If another process takes the lock, because this one did not renew it, this
  process ends: two must not write.

  Args:
    path: object of the lock.
    holder: one line about this process, for others.

  Raises:
    HeldError: a living process holds the lock.
  """
  content = {
      'holder': holder,
      'place': _place(),
      'process': _process(os.getpid()),
      'token': uuid.uuid4().hex,
  }
  with failures.named(str(path)):
    while not _create(path, content):
      _wait_for_death(path)
  stop = threading.Event()
  renewal = threading.Thread(
      target=_renew, args=(path, content, stop), daemon=True
  )
  renewal.start()
  try:
    yield
  finally:
    stop.set()
    renewal.join()
    with contextlib.suppress(Exception):  # then the lock is free after a while
      if (_read(path) or {}).get('token') == content['token']:
        path.unlink(missing_ok=True)


def _create(path: epath.Path, content: dict[str, Any]) -> bool:
  """Creates the object; returns False if there is one."""
  try:
    paths.file_system(path).pipe_file(
        os.fspath(path), json.dumps(content).encode(), mode='create'
    )
  except FileExistsError:
    return False
  return True


def _read(path: epath.Path) -> dict[str, Any] | None:
  """Returns the content of the object, None if there is none."""
  try:
    # One request: `path.read_bytes` asks for the size first, and the holder may
    # write between the two.
    data = paths.file_system(path).cat_file(os.fspath(path))
  except FileNotFoundError:
    return None
  try:
    return json.loads(data)
  except ValueError:  # the lock of a local folder that was copied to the bucket
    holder = data.decode(errors='backslashreplace')
    return {'holder': holder, 'place': '', 'process': [0, None], 'token': ''}


def _wait_for_death(path: epath.Path) -> None:
  """Removes the lock of a dead process.

  Raises:
    HeldError: the process lives.
  """
  first = _read(path)
  if first is None:
    return
  if not _has_died(first):
    print(
        f'{path}: belongs to {first["holder"]}; waiting up to {DEAD_S:.0f} s for '
        'a sign that it lives',
        flush=True,
    )
    end = time.monotonic() + DEAD_S
    while time.monotonic() < end:
      time.sleep(min(1.0, RENEW_S))
      if (now := _read(path)) != first:
        if now is None:
          return
        raise HeldError(now['holder'])
  path.unlink(missing_ok=True)


def _renew(
    path: epath.Path, content: dict[str, Any], stop: threading.Event
) -> None:
  """Changes the object until `stop`; runs in a thread."""
  while not stop.wait(RENEW_S):
    try:
      found = _read(path)
      if found is None or found['token'] != content['token']:
        taker = found['holder'] if found else 'somebody who removed the lock'
        print(
            f'error: {path}: {taker} has taken over; this process ends',
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)
      content = content | {'renewed': time.time()}
      paths.file_system(path).pipe_file(
          os.fspath(path), json.dumps(content).encode()
      )
    except Exception:
      # The bucket does not answer. The main thread reports it at its next write.
      continue


def _has_died(content: dict[str, Any]) -> bool:
  """Returns whether the holder was on this machine and has ended."""
  pid, _ = content['process']
  return content['place'] == _place() and content['process'] != _process(pid)


def _place() -> str:
  """Returns the boot of this machine and the container of this process."""
  boot = pathlib.Path('/proc/sys/kernel/random/boot_id')
  try:
    return f'{boot.read_text().strip()} {os.readlink("/proc/self/ns/pid")}'
  except OSError:  # not Linux
    return uuid.uuid4().hex


def _process(pid: int) -> list[Any]:
  """Returns the process id and the start time of a process, if it lives."""
  try:
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
  except OSError:
    return [pid, None]
  fields = stat.rpartition(')')[2].split()
  return [pid, None if fields[0] == 'Z' else fields[19]]
