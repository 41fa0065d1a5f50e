"""Sizes, and progress bars, which print only a few lines where stderr is not a terminal."""

from collections.abc import Callable, Iterable, Iterator
import datetime
import sys
import time
from typing import Any

import tqdm


def make(
    iterable: Iterable[Any] | None = None,
    *,
    desc: str,
    unit: str,
    total: int | None = None,
    disable: bool = False,
) -> Any:
  """Returns a progress bar on stderr, with the interface of `tqdm.tqdm`.

  In a terminal, the bar disappears at the end.

  Args:
    iterable: if given, iteration over the bar yields its items.
    desc: name of the action, such as 'rendering'.
    unit: name of the items, such as 'frames'.
    total: number of items, if it is known.
    disable: show nothing.
  """
  if disable or not sys.stderr.isatty():
    return _Lines(iterable, desc, unit, total, show=not disable)
  return tqdm.tqdm(
      iterable, desc=desc, unit=f' {unit}', total=total, leave=False
  )


def size(num_bytes: int) -> str:
  """Returns a number of bytes as text, such as '12.5 MB' or '6.3 GB'."""
  if num_bytes < 1e9:
    return f'{num_bytes / 1e6:,.1f} MB'
  return f'{num_bytes / 1e9:,.1f} GB'


class _Lines:
  """Prints a line after each tenth or half minute, and at most one in 3 s.

  Attributes:
    total: number of items; None if it is not known. It may change.
  """

  def __init__(
      self,
      iterable: Iterable[Any] | None,
      desc: str,
      unit: str,
      total: int | None,
      *,
      show: bool = True,
      clock: Callable[[], float] = time.monotonic,
  ):
    self._iterable = iterable
    self._desc = desc
    self._unit = unit
    self.total = total
    self._show = show
    self._clock = clock
    self._count = 0
    self._start = self._last_time = clock()
    self._last_tenth = 0

  def update(self, count: int = 1) -> None:
    """Counts some more items."""
    self._count += count
    tenth = 10 * self._count // self.total if self.total else 0
    waited = self._clock() - self._last_time
    if waited > 30 or (waited > 3 and tenth > self._last_tenth):
      self._last_tenth = tenth
      self._last_time += waited
      if self._show:
        self._print()

  def _print(self) -> None:
    rate = self._count / (self._last_time - self._start)
    done = f'{self._count:,}'
    left = ''
    if self.total:
      done += f'/{self.total:,}'
      seconds = round(max(self.total - self._count, 0) / rate)
      left = f', {datetime.timedelta(seconds=seconds)} left'
    text = (
        f'{self._desc}: {done} {self._unit}, {rate:,.1f} {self._unit}/s{left}'
    )
    print(text, file=sys.stderr, flush=True)

  def __iter__(self) -> Iterator[Any]:
    for item in self._iterable:
      yield item
      self.update()

  def __enter__(self) -> '_Lines':
    return self

  def __exit__(self, *_: object) -> None:
    """Prints nothing: the command reports its end."""
