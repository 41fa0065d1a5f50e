"""A trace of a few updates, for TensorBoard's profile plugin and Perfetto."""

import contextlib
from typing import Any

import jax

from abaw_jax.core import errors, files
from abaw_jax.telemetry import goodput, journal


class Profile:
  """Traces `count` updates, after the first `start` updates.

  The trace contains exactly these updates. A run that resumes after the first
  of them writes no trace. A run that ends before the last of them still closes
  the trace. Only the first process traces.
  """

  def __init__(
      self,
      folder: files.Path,
      watch: goodput.Stopwatch,
      *,
      start: int,
      count: int,
      total: int,
  ):
    """Checks the settings; does not start the trace.

    Args:
      folder: folder of the event files; the trace is in `plugins/profile`
        there.
      watch: receives the time to start and end the trace, as phase `profile`.
      start: number of updates before the first traced update.
      count: number of updates to trace; 0 means no trace.
      total: number of updates of the run.

    Raises:
      InputError: the run has no such update.
    """
    if count and start >= total:
      raise errors.InputError(
          f'config.profile_start={start}, config.profile_steps={count}: this run '
          f'has {total} updates; choose updates of the run, or set '
          'config.profile_steps=0'
      )
    self._folder = folder
    self._watch = watch
    self._start = start if count and jax.process_index() == 0 else None
    self._end = min(start + count, total)
    self._upload = contextlib.ExitStack()
    self._running = False

  def begin(self, step: int, before: Any) -> None:
    """Starts the trace if it is due.

    Args:
      step: number of finished updates.
      before: arrays that are ready when the last of these updates has ended.
    """
    if step != self._start:
      return
    with self._watch.phase('profile'):
      jax.block_until_ready(before)
      options = jax.profiler.ProfileOptions()
      # Tracing Python calls would slow down the measured host.
      options.python_tracer_level = 0
      jax.profiler.start_trace(
          self._upload.enter_context(files.filling(self._folder)),
          create_perfetto_trace=True,
          profiler_options=options,
      )
    self._running = True

  def end(self, step: int, result: Any) -> None:
    """Ends the trace if it is due, and prints its folder.

    Args:
      step: number of dispatched updates.
      result: arrays that are ready when the last of these updates has ended.
    """
    if self._running and step == self._end:
      jax.block_until_ready(result)
      self.close()

  def close(self) -> None:
    """Ends the trace if it is running."""
    if self._running:
      self._running = False
      with self._watch.phase('profile'):
        jax.profiler.stop_trace()
        self._upload.close()
      journal.say(f'profile in {self._folder}')
