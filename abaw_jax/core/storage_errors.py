"""One-line errors for a full disk, and files that a crash has damaged."""

from collections.abc import Callable, Iterator
import contextlib
import errno
import itertools
import json
import os
import pathlib
import re
import shutil

from abaw_jax.core import errors

# Python and Orbax raise these if a file cannot be read or written.
ERRORS = (OSError, ValueError)
# ArrayRecord has only the text of these in a RuntimeError.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@contextlib.contextmanager
def writing(
    folder: pathlib.Path, name: str, resume_point: Callable[[], str] = str
) -> Iterator[None]:
  """Turns a failed write into an InputError.

  Args:
    folder: folder of the files that are written inside.
    name: name of the content for the message, such as 'the metrics'.
    resume_point: returns where the command resumes, such as ' from step 5'.
  """
  try:
    yield
  except (*ERRORS, RuntimeError) as e:
    if _errno(e) is None:
      raise  # a bug, not a problem of the disk
    existing = next(x for x in (folder, *folder.parents) if x.exists())
    free = shutil.disk_usage(existing).free / 1e6
    raise errors.InputError(
        f'{folder}: cannot write {name} ({reason(e)}; {free:,.1f} MB free); free '
        'some space or fix the permissions, then run the same command again to '
        f'continue{resume_point()}'
    ) from e


def line(error: BaseException) -> str | None:
  """Returns one line if a file cannot be read or written, None for a bug."""
  number = _errno(error)
  if number not in _FAILURES:
    return None
  name = getattr(error, 'filename', None)
  path = os.fspath(name) if isinstance(name, (str, os.PathLike)) else '.'
  free = ''
  if number in _FULL:
    existing = next(
        p for p in (path, os.path.dirname(path), '.') if os.path.exists(p)
    )
  return (
      f'{path + ": " if name else ""}{os.strerror(number)}; free some space or fix '
      'the permissions, then run the same command again'
  )


def reason(error: Exception) -> str:
  """Returns the cause of one of ERRORS in a few words."""
  number = _errno(error)
  if number is not None:
    return os.strerror(number)
  lines = str(error).strip().splitlines() or [type(error).__name__]
  return lines[0][:120]


def _errno(error: Exception) -> int | None:
  """Returns the error number of the operating system, None if there is none."""
  if isinstance(error, OSError):
    return error.errno
  # TensorStore, which Orbax writes with, has the number only in its text.
  found = re.search(r"os_error_code='(\d+)'|OS error (\d+)", str(error))
  if found:
    return int(found[1] or found[2])
  return next((n for n in _FULL if os.strerror(n) in str(error)), None)


def unreadable_scores(directory: pathlib.Path) -> list[pathlib.Path]:
  """Returns the score files of checkpoints that are not JSON.

  Orbax reads all of them at once: a single bad file makes every checkpoint
  unreadable.
  """
  unreadable = []
  for path in sorted(directory.glob('*/metrics/metrics')):
    try:
      json.loads(path.read_text())
    except ValueError:
      unreadable.append(path)
  return unreadable


def set_aside(folder: pathlib.Path) -> pathlib.Path:
  """Renames an unreadable checkpoint, so that no reader sees it.

  Returns:
    The new path, such as `<folder>.unreadable`.
  """
  for number in itertools.count(1):
    suffix = f'-{number}' if number > 1 else ''
    aside = folder.with_name(f'{folder.name}.unreadable{suffix}')
    if not aside.exists():
      break
  os.rename(folder, aside)
  return aside
