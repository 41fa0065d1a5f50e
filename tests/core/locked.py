"""A folder that another process fills."""

from collections.abc import Iterator
import contextlib
import pathlib
import subprocess
import sys

_HOLD = """
import sys
from abaw_jax.buckets import leases
from abaw_jax.core import files, locks
leases.RENEW_S = 0.2
with locks.held(files.path(sys.argv[1]), inside=bool(sys.argv[2])):
  print('held', flush=True)
  sys.stdin.read()
"""


@contextlib.contextmanager
def by_another(
    folder: pathlib.PurePath, *, inside: bool = False
) -> Iterator[int]:
  """Yields the id of a process that holds the lock; then kills the process."""
  with subprocess.Popen(
      [sys.executable, '-c', _HOLD, str(folder), 'yes' if inside else ''],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
  ) as holder:
    assert holder.stdout.readline() == b'held\n'
    yield holder.pid
    holder.kill()
