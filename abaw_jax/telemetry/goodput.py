"""The wall-clock time of a run by phase, summed over all its processes.

Goodput is the share of time spent on updates that the run did not lose. For a
killed process, the time up to its last line of metrics is known.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import time
from typing import Any

import psutil

# In the order of the printed line. `steps` is productive time; `lost` is the
# time of steps that were not saved before their process ended.
PHASES = (
    'init', 'compile', 'data_wait', 'steps', 'evaluation', 'checkpoint',
    'plots', 'profile', 'lost',
)  # fmt: skip


class Stopwatch:
  """Splits wall-clock time into `PHASES`; every moment counts for one phase."""

  def __init__(
      self,
      *,
      elapsed: float = 0.0,
      clock: Callable[[], float] = time.perf_counter,
  ):
    """Starts in the phase `init`.

    Args:
      elapsed: seconds since the process started; they count as `init`.
      clock: returns seconds.
    """
    self.clock = clock
    self._seconds = dict.fromkeys(PHASES, 0.0) | {'init': elapsed}
    self._phase = 'init'
    self._since = clock()

  def switch(self, phase: str) -> str:
    """Starts to count time for `phase`; returns the previous phase."""
    now = self.clock()
    self._seconds[self._phase] += now - self._since
    self._since = now
    previous, self._phase = self._phase, phase
    return previous

  @contextlib.contextmanager
  def phase(self, name: str) -> Iterator[None]:
    """Counts the time of a `with` block for the phase `name`."""
    previous = self.switch(name)
    try:
      yield
    finally:
      self.switch(previous)

  def move(self, seconds: float, phase: str) -> None:
    """Moves seconds of the current phase to another phase."""
    self._seconds[self._phase] -= seconds
    self._seconds[phase] += seconds

  def add(self, seconds: Mapping[str, float]) -> None:
    """Adds the seconds of earlier processes, by phase."""
    for phase, value in seconds.items():
      self._seconds[phase] += value

  def seconds(self) -> dict[str, float]:
    """Returns the seconds of each phase so far; their sum is the total time."""
    self.switch(self._phase)
    return dict(self._seconds)

  def scalars(self) -> dict[str, float]:
    """Returns `goodput` (0 to 1), `wall_s` and the seconds of all phases."""
    seconds = self.seconds()
    wall = sum(seconds.values())
    return {'goodput': seconds['steps'] / wall, 'wall_s': round(wall, 3)} | {
        f'{phase}_s': round(value, 3) for phase, value in seconds.items()
    }


def process_age() -> float:
  """Returns the seconds since this process started."""
  return max(0.0, time.time() - psutil.Process().create_time())


def earlier(
    lines: Sequence[Mapping[str, Any]], resume_step: int
) -> dict[str, float]:
  """Returns the seconds that earlier processes of a run spent, by phase.

  Args:
    lines: all lines of metrics.jsonl, before the writer drops any.
    resume_step: step of the restored state. The time of later steps counts as
      `lost`; all other phases keep their time.
  """
  lines = [line for line in lines if line['split'] == 'goodput']
  if not lines:
    return {}
  seconds = {phase: lines[-1][f'{phase}_s'] for phase in PHASES}
  saved = [x['steps_s'] for x in lines if x['step'] <= resume_step]
  lost = seconds['steps'] - (saved[-1] if saved else 0.0)
  return seconds | {
      'steps': seconds['steps'] - lost,
      'lost': seconds['lost'] + lost,
  }


def summary(scalars: Mapping[str, float]) -> str:
  """Returns `goodput 87 %: init 3.1 s, compile 12 s, ...` for `scalars()`."""
  parts = []
  for phase in PHASES:
    seconds = scalars[f'{phase}_s']
    if seconds >= 0.05:
      value = f'{seconds:,.0f}' if seconds >= 10 else f'{seconds:.1f}'
      parts.append(f'{phase.replace("_", " ")} {value} s')
  return f'goodput {100 * scalars["goodput"]:.0f} %: {", ".join(parts)}'
