"""Where the wall clock of a run goes, over all the processes that work on it.

Only updates that the run still holds are productive; goodput is their share. A
process that is killed leaves the time up to its last line of metrics.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import time
from typing import Any

import psutil

# In the order of the printed line. `steps` is the productive one; `lost` are
# steps that were done, but not saved when their process ended.
PHASES = (
    'init', 'compile', 'data_wait', 'steps', 'evaluation', 'checkpoint',
    'plots', 'profile', 'lost',
)  # fmt: skip


class Stopwatch:
  """Splits wall-clock time among `PHASES`: each moment counts for one of them."""

  def __init__(
      self,
      *,
      elapsed: float = 0.0,
      clock: Callable[[], float] = time.perf_counter,
  ):
    """Starts in the phase `init`.

    Args:
      elapsed: seconds since the process began, which count as `init`.
      clock: returns seconds.
    """
    self.clock = clock
    self._seconds = dict.fromkeys(PHASES, 0.0) | {'init': elapsed}
    self._phase = 'init'
    self._since = clock()

  def switch(self, phase: str) -> str:
    """Lets time count for `phase` from now on; returns the phase until now."""
    now = self.clock()
    self._seconds[self._phase] += now - self._since
    self._since = now
    before, self._phase = self._phase, phase
    return before

  @contextlib.contextmanager
  def phase(self, name: str) -> Iterator[None]:
    """Lets the time inside count for the phase `name`."""
    before = self.switch(name)
    try:
      yield
    finally:
      self.switch(before)

  def move(self, seconds: float, phase: str) -> None:
    """Lets seconds of the present phase count for another."""
    self._seconds[self._phase] -= seconds
    self._seconds[phase] += seconds

  def add(self, seconds: Mapping[str, float]) -> None:
    """Adds what earlier processes have spent, by phase."""
    for phase, value in seconds.items():
      self._seconds[phase] += value

  def seconds(self) -> dict[str, float]:
    """Returns the seconds of each phase until now; their sum is all the time."""
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
  """Returns the seconds since this process began."""
  return max(0.0, time.time() - psutil.Process().create_time())


def earlier(
    lines: Sequence[Mapping[str, Any]], resume_step: int
) -> dict[str, float]:
  """Returns the seconds by phase that a run's earlier processes have spent.

  Args:
    lines: lines of metrics.jsonl, before any is dropped.
    resume_step: updates held by the state that the run goes on from. Steps that
      were done after it are `lost`; what else happened stays what it was.
  """
  lines = [line for line in lines if line['split'] == 'goodput']
  if not lines:
    return {}
  seconds = {phase: lines[-1][f'{phase}_s'] for phase in PHASES}
  held = [x['steps_s'] for x in lines if x['step'] <= resume_step]
  lost = seconds['steps'] - (held[-1] if held else 0.0)
  return seconds | {
      'steps': seconds['steps'] - lost,
      'lost': seconds['lost'] + lost,
  }


def summary(scalars: Mapping[str, float]) -> str:
  """Returns `goodput 87 %: init 3.1 s, compile 12 s, ...` of `scalars()`."""
  parts = []
  for phase in PHASES:
    seconds = scalars[f'{phase}_s']
    if seconds >= 0.05:
      value = f'{seconds:,.0f}' if seconds >= 10 else f'{seconds:.1f}'
      parts.append(f'{phase.replace("_", " ")} {value} s')
  return f'goodput {100 * scalars["goodput"]:.0f} %: {", ".join(parts)}'
