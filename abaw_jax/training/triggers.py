"""What is due in each turn of the training loop beside its update."""

from collections.abc import Callable, Mapping
import dataclasses
import math
import time
from typing import Any

import jax

from abaw_jax.core import errors
from abaw_jax.distributed import agreement, preemption


@dataclasses.dataclass(frozen=True)
class Turn:
  """What is due before an update.

  Attributes:
    drawing: a picture.
    evaluating: scores on the validation split.
    saving: a checkpoint; evaluation and the signal bring one with them.
    stopping: the end, because a process was told to stop.
  """

  drawing: bool
  evaluating: bool
  saving: bool
  stopping: bool


class Turns:
  """Says what is due, the same on all processes."""

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
    """Starts to count; 0 updates or minutes between two of a kind mean never.

    Args:
      stop: tells whether this process was told to stop.
      mesh: of all devices.
      start: updates done before the first turn.
      eval_steps: updates between two evaluations.
      save_steps: updates between two checkpoints.
      save_minutes: minutes between two checkpoints, by the clock of process 0.
      plot_steps: updates between two pictures.
      clock: returns seconds.

    Raises:
      InputError: `save_minutes` is negative.
    """
    if save_minutes < 0:
      raise errors.InputError(
          f'config.save_minutes={save_minutes}: give minutes, or 0 for never'
      )
    self._stop = stop
    self._agreement = agreement.Agreement(mesh)
    self._start = start
    self._every = (plot_steps, eval_steps, save_steps)
    self._seconds = 60 * save_minutes or math.inf
    self._clock = clock
    self._save_at = clock() + self._seconds

  def turn(self, step: int) -> Turn:
    """Returns what is due after `step` updates; call it for each in turn."""
    overdue = jax.process_index() == 0 and self._clock() >= self._save_at
    if overdue:
      self._save_at = math.inf  # wanted once, until it is heard
    stopping, overdue = self._agreement.exchange((self._stop.received, overdue))
    drawing, evaluating, saving = (
        step > self._start and every > 0 and step % every == 0
        for every in self._every
    )
    saving = saving or overdue or evaluating or stopping
    if saving:
      self._save_at = self._clock() + self._seconds
    return Turn(drawing, evaluating, saving, stopping)


def make_turns(
    config: Mapping[str, Any],
    stop: preemption.Notice,
    mesh: jax.sharding.Mesh,
    start: int,
    eval_steps: int,
) -> Turns:
  """Returns the turns of a config; the other arguments are those of `Turns`."""
  return Turns(
      stop,
      mesh,
      start=start,
      eval_steps=eval_steps,
      save_steps=config['save_steps'],
      save_minutes=config['save_minutes'],
      plot_steps=config['plot_steps'],
  )
