"""What is wrong with a source tree, told by file and line."""

from collections.abc import Sequence
from typing import NamedTuple

from abaw_jax.core import errors


class Problem(NamedTuple):
  """One unusable line of a list file, the image it names, or an image."""

  file: str  # relative to the source folder
  line: int | None  # 1-based, the header counted; None for an image
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


def fail_on(problems: Sequence[Problem], source_dir: str) -> None:
  """Raises InputError with the first 20 problems and their total, if any."""
  if not problems:
    return
  noun = 'problem' if len(problems) == 1 else 'problems'
  raise errors.InputError(
      f'{len(problems)} {noun} in {source_dir}; mend what is listed below or build'
      f' without them by --on_error=skip\n{listing(problems)}'
  )
