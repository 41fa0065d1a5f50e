"""Pictures, evaluations and checkpoints that are due at a step of training."""

from collections.abc import Callable, Mapping
import dataclasses
import math
import time
from typing import Any

import jax

from abaw_jax.distributed import agreement, preemption


@dataclasses.dataclass(frozen=True)
class Due:
  """Actions that are due before an update.

  Attributes:
    drawing: count histograms and, if the task has one, draw a picture.
    evaluating: score the validation split.
    saving: save a checkpoint; every evaluation and the signal cause one.
    stopping: end, because a process received SIGTERM or SIGHUP.
  """

  drawing: bool
  evaluating: bool
  saving: bool
  stopping: bool


class Triggers:
  """Decides which actions are due, the same on all processes."""

  def __init__(
      self,
      stop: preemption.Notice,
      mesh: jax.sharding.Mesh,
      *,
      start: int,
      eval_steps: int,
      save_steps: int,
      save_minutes: float,
      plot_steps: int,
      clock: Callable[[], float] = time.monotonic,
  ):
    """Starts to count; an interval of 0 means never.

    Args:
      stop: whether this process received SIGTERM or SIGHUP.
      mesh: of all devices.
      start: number of updates before the first step.
      eval_steps: updates between two evaluations.
      save_steps: updates between two checkpoints.
      save_minutes: minutes between two checkpoints, by the clock of process 0.
      plot_steps: updates between two pictures and histograms.
      clock: returns seconds.
    """
    self._stop = stop
    self._agreement = agreement.Agreement(mesh)
    self._start = start
    self._every = (plot_steps, eval_steps, save_steps)
    self._seconds = 60 * save_minutes or math.inf
    self._clock = clock
    self._save_at = clock() + self._seconds

  def at(self, step: int) -> Due:
    """Returns the actions due after `step` updates; call it once per step."""
    overdue = jax.process_index() == 0 and self._clock() >= self._save_at
    if overdue:
      self._save_at = math.inf  # one request, until all processes know it
    stopping, overdue = self._agreement.exchange((self._stop.received, overdue))
    drawing, evaluating, saving = (
        step > self._start and every > 0 and step % every == 0
        for every in self._every
    )
    saving = saving or overdue or evaluating or stopping
    if saving:
      self._save_at = self._clock() + self._seconds
    return Due(drawing, evaluating, saving, stopping)


def make_triggers(
    config: Mapping[str, Any],
    stop: preemption.Notice,
    mesh: jax.sharding.Mesh,
    start: int,
    eval_steps: int,
) -> Triggers:
  """Returns the triggers of a config; arguments are those of `Triggers`."""
  return Triggers(
      stop,
      mesh,
      start=start,
      eval_steps=eval_steps,
      save_steps=config['save_steps'],
      save_minutes=config['save_minutes'],
      plot_steps=config['plot_steps'],
  )
