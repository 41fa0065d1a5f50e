"""A section of the report: tables whose rows are written when they are ready."""

from collections.abc import Callable, Iterable, Sequence
import gc
import sys
import time
import traceback
from typing import TypeVar

from abaw_jax.core import text_table
from benchmarks.accelerator import stand_ins

T = TypeVar('T')
Case = tuple[str, Callable[[], Sequence[str]]]

_LONGEST_ERROR = 200  # characters in the report


class Section:
  """Writes Markdown while there is time.

  Attributes:
    failed: whether there was an error that is no lack of memory and no missing
      package, or a comparison was out of its tolerance.
  """

  def __init__(
      self,
      write: Callable[[str], object],
      seconds: float,
      clock: Callable[[], float] = time.monotonic,
  ):
    """Starts the clock.

    Args:
      write: receives every line.
      seconds: time for the section.
      clock: seconds that pass.
    """
    self.failed = False
    self._write = write
    self._clock = clock
    self._end = clock() + seconds

  def left(self) -> float:
    """Returns the seconds that are left."""
    return self._end - self._clock()

  def text(self, line: str) -> None:
    """Writes a paragraph."""
    self._write(f'{line}\n')

  def table(self, columns: Sequence[str], cases: Iterable[Case]) -> None:
    """Writes a table with a row for each case.

    A case that the time left would not suffice for, by the longest case so far, is
    skipped. An error takes the place of the cells of its row.

    Args:
      columns: names of the columns.
      cases: first cell of a row, and a function that returns the others.
    """
    longest = 0.0
    for line in text_table.markdown([columns]):
      self._write(line)
    for label, make in cases:
      start = self._clock()
      _free_memory()
      if self.left() < longest:
        cells = ['skipped, no time left']
      else:
        cells = self.attempt(make)
        cells = [cells] if isinstance(cells, str) else [*cells]
      row = [label, *cells, *[''] * (len(columns) - 1 - len(cells))]
      self._write(text_table.markdown([row])[0])
      longest = max(longest, self._clock() - start)
    self._write('')

  def attempt(
      self, make: Callable[[], T], *, optional: bool = False
  ) -> T | str:
    """Returns the result of a function, or one line about its error.

    Args:
      make: the function.
      optional: whether an error is no failure of the section.
    """
    try:
      return make()
    except Exception as error:
      return self._explain(error, optional=optional)

  def verdict(self, *, passed: bool) -> str:
    """Returns a cell for a check, and counts it."""
    self.failed |= not passed
    return 'pass' if passed else '**FAIL**'

  def _explain(self, error: Exception, *, optional: bool) -> str:
    text = f'{type(error).__name__}: {error}'
    if isinstance(error, ModuleNotFoundError):
      package = (error.name or '').partition('.')[0]
      if package in stand_ins.OPTIONAL + stand_ins.COMPARED:
        return f'{package} is not installed'
    if 'RESOURCE_EXHAUSTED' in text or 'out of memory' in text.lower():
      return 'out of memory'
    line = ' '.join(text.split())[:_LONGEST_ERROR].replace('|', '/')
    if optional:
      return line
    traceback.print_exception(error)
    self.failed = True
    return f'**error** {line}'


def _free_memory() -> None:
  """Frees the arrays of the last case and PyTorch's unused memory."""
  gc.collect()
  if torch := sys.modules.get('torch'):
    torch.cuda.empty_cache()
