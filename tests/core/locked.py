"""A folder that another process fills."""

from collections.abc import Iterator
import contextlib
import pathlib

from tests.training import runs

_HOLD = """
import sys, threading
from abaw_jax.buckets import leases
from abaw_jax.core import files, locks
leases.RENEW_S = 0.2
with locks.held(files.path(sys.argv[1]), inside=bool(sys.argv[2])):
  print('held', flush=True)
  threading.Event().wait()
"""


@contextlib.contextmanager
def by_another(
    folder: pathlib.PurePath, *, inside: bool = False
) -> Iterator[int]:
  """Yields the id of a process that holds the lock; then kills the process."""
  holder = runs.start_code(_HOLD, str(folder), 'yes' if inside else '')
  assert holder.stdout.readline() == 'held\n'
  yield holder.pid
  holder.kill()
  runs.finish(holder)
