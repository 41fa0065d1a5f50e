"""The console line of a training run and the clock behind it."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import datetime
import time


@dataclasses.dataclass(frozen=True)
class Speed:
  """How fast a run went since the report before."""

  items_per_s: float
  steps_per_s: float
  wait: float  # share of the time in which training waited for data, 0 to 1


class Meter:
  """Counts steps, items and the time spent waiting for data.

  `clock` returns seconds. Time runs from one report to the next, the first from
  the meter's own start.
  """

  def __init__(self, clock: Callable[[], float] = time.perf_counter):
    self._clock = clock
    self._reset()

  def _reset(self) -> None:
    self._start = self._clock()
    self._steps = 0
    self._items = 0
    self._waited = 0.0

  def add(self, items: int) -> None:
    """Counts one step over this number of items."""
    self._steps += 1
    self._items += items

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Counts the time inside as waiting; put it around `next(batches)`."""
    start = self._clock()
    try:
      yield
    finally:
      self._waited += self._clock() - start

  def report(self) -> Speed:
    """Returns the speed since the last report, and counts from 0 again."""
    seconds = max(self._clock() - self._start, 1e-9)
    speed = Speed(
        items_per_s=self._items / seconds,
        steps_per_s=self._steps / seconds,
        wait=min(self._waited / seconds, 1.0),
    )
    self._reset()
    return speed


def progress_line(
    *,
    step: int,
    total_steps: int,
    loss: float,
    parts: Mapping[str, float],
    lr: float,
    speed: Speed,
    unit: str,
) -> str:
  """Returns one line for the console, without a newline.

  For example `step 1,200/10,000  loss 0.4310 (valence 0.1102 au 0.3208)  lr
  1.0e-04  812 frames/s  wait 3 %  eta 0:04:12`. `parts` are the losses of the
  tasks, none for a single one; `unit` is what an item is called.
  """
  detail = ' '.join(f'{name} {value:.4f}' for name, value in parts.items())
  if speed.steps_per_s > 0:
    seconds = round((total_steps - step) / speed.steps_per_s)
    eta = str(datetime.timedelta(seconds=seconds))
  else:
    eta = 'unknown'
  rate = speed.items_per_s
  return '  '.join(
      [
          f'step {step:,}/{total_steps:,}',
          f'loss {loss:.4f}' + (f' ({detail})' if detail else ''),
          f'lr {lr:.1e}',
          f'{rate:,.0f} {unit}/s' if rate >= 10 else f'{rate:.1f} {unit}/s',
          f'wait {100 * speed.wait:.0f} %',
          f'eta {eta}',
      ]
  )
