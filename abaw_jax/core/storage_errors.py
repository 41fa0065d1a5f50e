"""What a full or failing disk does to a workdir, said in a line."""

from collections.abc import Callable, Iterator
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil

from abaw_jax.core import errors

# What Python and Orbax raise for a file that cannot be read or written.
FAULTS = (OSError, ValueError)


@contextlib.contextmanager
def writing(
    folder: pathlib.Path, what: str, after: Callable[[], str] = str
) -> Iterator[None]:
  """Makes an InputError of what keeps a file from being written.

  Args:
    folder: where it is written; there.
    what: what it is, such as 'the metrics'.
    after: returns how the command goes on once there is room.
  """
  try:
    yield
  except FAULTS as e:
    if _system_error(e) is None:
      raise  # a defect of ours
    free = shutil.disk_usage(folder).free / 1e6
    raise errors.InputError(
        f'{folder}: {what} could not be written ({reason(e)}; {free:,.1f} MB are '
        f'free there); mend that, and the same command goes on{after()}'
    ) from e


def reason(error: Exception) -> str:
  """Returns the cause of one of FAULTS in a few words."""
  number = _system_error(error)
  if number is not None:
    return os.strerror(number)
  lines = str(error).strip().splitlines() or [type(error).__name__]
  return lines[0][:120]


def _system_error(error: Exception) -> int | None:
  """Returns the system's number of an error; Orbax has it in its text only."""
  if isinstance(error, OSError):
    return error.errno
  found = re.search(r"os_error_code='(\d+)'|OS error (\d+)", str(error))
  return int(found[1] or found[2]) if found else None


def torn_scores(directory: pathlib.Path) -> list[pathlib.Path]:
  """Returns the files of checkpoints' scores that are not JSON.

  Orbax reads all of them at once, and would open no checkpoint for one.
  """
  torn = []
  for path in sorted(directory.glob('*/metrics/metrics')):
    try:
      json.loads(path.read_text())
    except ValueError:
      torn.append(path)
  return torn


def set_aside(folder: pathlib.Path) -> pathlib.Path:
  """Renames a checkpoint so that it is seen no more; returns its new path."""
  for number in itertools.count(1):
    more = f'-{number}' if number > 1 else ''
    aside = folder.with_name(f'{folder.name}.unreadable{more}')
    if not aside.exists():
      break
  os.rename(folder, aside)
  return aside
