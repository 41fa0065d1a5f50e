"""A trace of a few updates, for TensorBoard's profile plugin and for Perfetto."""

import pathlib
from typing import Any

import jax

from abaw_jax.core import errors
from abaw_jax.telemetry import goodput, journal


class Profile:
  """Traces `count` updates, from the one after `start` updates.

  The trace holds these updates whole and no other. A run that resumes behind
  its first one traces nothing; one that ends before the last one still closes
  the trace. Only the first process traces.
  """

  def __init__(
      self,
      folder: pathlib.Path,
      watch: goodput.Stopwatch,
      *,
      start: int,
      count: int,
      total: int,
  ):
    """Prepares a trace; starts nothing yet.

    Args:
      folder: of the event files; the trace is in `plugins/profile` below it.
      watch: gets the phase `profile`, what it takes to start and to end.
      start: updates before the first traced one.
      count: updates to trace; 0 means no trace.
      total: updates of the whole run.

    Raises:
      InputError: the run has no such update.
    """
    if count < 0 or start < 0 or (count and start >= total):
      raise errors.InputError(
          f'config.profile_start={start}, config.profile_steps={count}: not '
          f'among the {total} updates of this run; lower them, or set '
          'config.profile_steps=0'
      )
    self._folder = folder
    self._watch = watch
    self._start = start if count and jax.process_index() == 0 else None
    self._end = min(start + count, total)
    self._running = False

  def begin(self, step: int, before: Any) -> None:
    """Starts the trace if it is due.

    Args:
      step: updates done so far.
      before: arrays that are ready when the last of them has ended.
    """
    if step != self._start:
      return
    with self._watch.phase('profile'):
      jax.block_until_ready(before)
      options = jax.profiler.ProfileOptions()
      # Every Python call would slow down the host that is being measured.
      options.python_tracer_level = 0
      jax.profiler.start_trace(
          self._folder, create_perfetto_trace=True, profiler_options=options
      )
    self._running = True

  def end(self, step: int, result: Any) -> None:
    """Ends the trace if it is due, and says where it is.

    Args:
      step: updates dispatched so far.
      result: arrays that are ready when the last of them has ended.
    """
    if self._running and step == self._end:
      jax.block_until_ready(result)
      self.close()

  def close(self) -> None:
    """Ends the trace if it still runs."""
    if self._running:
      self._running = False
      with self._watch.phase('profile'):
        jax.profiler.stop_trace()
      journal.say(f'profile in {self._folder}')
