"""One-line errors of disks and buckets, and files that a crash has damaged."""

from collections.abc import Callable, Iterator
import contextlib
import errno
import itertools
import json
import os
import pathlib
import re
import shutil
import tempfile

from abaw_jax.buckets import failures, paths, transfers
from abaw_jax.core import errors

# Python and Orbax raise these if a file cannot be read or written.
ERRORS = (OSError, ValueError)
# Wherever they occur, the machine is the cause.
_FAILURES = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES,
    errno.EPERM, errno.EIO, errno.ESTALE, errno.ENAMETOOLONG,
)  # fmt: skip


@contextlib.contextmanager
def writing(
    folder: pathlib.PurePath, name: str, resume_point: Callable[[], str] = str
) -> Iterator[None]:
  """Turns a failed write into an InputError.

  Args:
    folder: folder of the files that are written inside.
    name: name of the content for the message, such as 'the metrics'.
    resume_point: returns where the command resumes, such as ' from step 5'.
  """
  try:
    yield
  except errors.InputError:
    raise
  except Exception as e:
    if paths.is_bucket(folder) and (advice := failures.advice(e)):
      where = resume_point()
      raise errors.InputError(
          f'{folder}: cannot write {name}: {advice}'
          + (f'; it continues{where}' if where else '')
      ) from e
    if _errno(e) is None:
      raise  # a bug, not a problem of the disk
    if paths.is_bucket(folder):  # the disk of temporary files is full
      folder = pathlib.Path(tempfile.gettempdir())
    existing = next(x for x in (folder, *folder.parents) if x.exists())
    free = shutil.disk_usage(existing).free / 1e6
    raise errors.InputError(
        f'{folder}: cannot write {name} ({reason(e)}; {free:,.1f} MB free); free '
        'some space or fix the permissions, then run the same command again to '
        f'continue{resume_point()}'
    ) from e


def line(error: BaseException) -> str | None:
  """Returns one line if a file cannot be read or written, None for a bug."""
  if isinstance(error, failures.BucketError):
    return str(error)
  if paths.used() and (advice := failures.advice(error)):
    return f'{", ".join(paths.used())}: {advice}'
  if _errno(error) not in _FAILURES:
    return None
  path = getattr(error, 'filename', None)
  text = reason(error) if isinstance(error, OSError) else str(error)
  where = f'{path}: ' if path else ''
  return (
      f'{where}{" ".join(text.split())[:300]}; free some space or fix the '
      'permissions, then run the same command again'
  )


def reason(error: Exception) -> str:
  """Returns the cause of one of ERRORS in a few words."""
  number = _errno(error)
  if number is not None:
    return os.strerror(number)
  lines = str(error).strip().splitlines() or [type(error).__name__]
  return lines[0][:120]


def _errno(error: BaseException) -> int | None:
  """Returns the error number of the operating system, None if there is none."""
  if isinstance(error, OSError):
    return error.errno
  # The number is only in the text of TensorStore and safetensors. The text of
  # ArrayRecord has only its name.
  text = str(error)
  if found := re.search(r"(?:os_error_code='|(?i:os error) )(\d+)", text):
    return int(found[1])
  return next((n for n in _FAILURES if os.strerror(n) in text), None)


def unreadable_scores(directory: pathlib.PurePath) -> list[pathlib.PurePath]:
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


def set_aside(folder: pathlib.PurePath) -> pathlib.PurePath:
  """Renames an unreadable checkpoint, so that no reader sees it.

  Returns:
    The new path, such as `<folder>.unreadable`.
  """
  for number in itertools.count(1):
    suffix = f'-{number}' if number > 1 else ''
    aside = folder.with_name(f'{folder.name}.unreadable{suffix}')
    if not aside.exists():
      break
  if paths.is_bucket(folder):
    transfers.move_folder(folder, aside)
  else:
    folder.rename(aside)
  return aside
