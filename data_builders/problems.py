"""What is wrong with a source tree, told by file and line."""

from collections.abc import Sequence
from typing import NamedTuple

from abaw_jax import errors


class Problem(NamedTuple):
  """One unusable line of a list file, or the image it names."""

  file: str  # relative to the source folder
  line: int  # 1-based, the header counted
  reason: str

  def __str__(self) -> str:
    return f'{self.file}:{self.line}: {self.reason}'


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
      f'{len(problems)} {noun} in {source_dir}; mend the lines below or build'
      f' without them by --on_error=skip\n{listing(problems)}'
  )
