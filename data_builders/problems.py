"""Problems of a source folder, with their file and line."""

from collections.abc import Iterator, Sequence
import contextlib
import os
import pathlib
from typing import NamedTuple

from abaw_jax.core import errors


class Problem(NamedTuple):
  """A line of a list file or an image that cannot be used."""

  file: str  # relative to the source folder
  line: int | None  # 1-based, including the header; None for an image
  reason: str

  def __str__(self) -> str:
    place = self.file if self.line is None else f'{self.file}:{self.line}'
    return f'{place}: {self.reason}'


def listing(problems: Sequence[Problem], limit: int = 20) -> str:
  """Returns the first `limit` problems, one per line, and how many follow."""
  lines = [f'  {problem}' for problem in problems[:limit]]
  if len(problems) > limit:
    lines.append(f'  ... and {len(problems) - limit} more')
  return '\n'.join(lines)


def fail_on(
    problems: Sequence[Problem], source_dir: str | os.PathLike[str]
) -> None:
  """Raises an InputError with the first 20 problems and their total, if any."""
  if not problems:
    return
  noun = 'problem' if len(problems) == 1 else 'problems'
  raise errors.InputError(
      f'{len(problems)} {noun} in {source_dir}; fix the problems below, or build'
      f' without these lines by --on_error=skip\n{listing(problems)}'
  )


@contextlib.contextmanager
def reading(source_dir: str | os.PathLike[str]) -> Iterator[None]:
  """Raises an InputError if a file of the source cannot be read inside."""
  try:
    yield
  except OSError as error:
    path = pathlib.Path(os.fsdecode(error.filename or '')).absolute()
    if not path.is_relative_to(pathlib.Path(source_dir).absolute()):
      raise
    raise errors.InputError(
        f'{path}: cannot be read ({error.strerror}); fix its permissions or copy'
        ' it again'
    ) from error
