"""What a run tells about itself: to the console, metrics.jsonl and TensorBoard."""

from collections.abc import Callable, Mapping
import pathlib
from typing import Any

import jax
from jaxtyping import UInt8
import numpy as np

from abaw_jax.inference import evaluation
from abaw_jax.models.multi_task import heads
from abaw_jax.telemetry import goodput, progress, writer


def say(text: str) -> None:
  """Prints a line, on the first process only."""
  if jax.process_index() == 0:
    print(text, flush=True)


class Journal:
  """The records of one run; goes on from those of its earlier processes.

  What an update measures is noted at once but written later, when it is there.
  Only the first process writes.
  """

  def __init__(
      self,
      workdir: pathlib.Path,
      watch: goodput.Stopwatch,
      meter: progress.Meter,
      *,
      schedule: Callable[[int], Any],
      start: int,
      total: int,
      unit: str,
  ):
    """Opens the records and drops what the run will do again.

    Args:
      workdir: folder of the run.
      watch: gets the time that earlier processes have spent.
      meter: measures the speed from line to line.
      schedule: learning rate by update.
      start: updates done by the state that the run goes on from.
      total: updates of the whole run.
      unit: what an item of a batch is called.
    """
    self._watch = watch
    self._meter = meter
    self._schedule = schedule
    self._total = total
    self._unit = unit
    self._writer: writer.Writer | writer.Silence
    self._noted: tuple[int, Mapping[str, Any], progress.Speed] | None = None
    self._goodput_step: int | None = None
    self._scored: set[int] = set()
    if jax.process_index() == 0:
      lines = writer.read_lines(workdir / 'metrics.jsonl')
      watch.add(goodput.earlier(lines, start))
      self._scored = {
          line['step']
          for line in lines
          if line['split'] == 'validation' and line['step'] <= start
      }
      self._writer = writer.Writer(workdir, resume_step=start)
    else:
      self._writer = writer.Silence(workdir)
    self.write_goodput(start)

  def note(self, step: int, metrics: Mapping[str, Any]) -> None:
    """Keeps what update `step` measures, and the speed until now."""
    self._noted = step, metrics, self._meter.report()

  def write_noted(self) -> dict[str, float | int]:
    """Writes and says what was noted; returns it, {} if there was nothing."""
    if self._noted is None:
      return {}
    step, metrics, speed = self._noted
    self._noted = None
    metrics = {k: float(v) for k, v in jax.device_get(metrics).items()}
    lr = float(self._schedule(step - 1))
    self._writer.write_scalars(step, metrics | {'lr': lr} | speed.scalars())
    say(
        progress.progress_line(
            step=step,
            total_steps=self._total,
            loss=metrics['loss'],
            parts={k: metrics[k] for k in heads.TASK_DIMS if k in metrics},
            lr=lr,
            speed=speed,
            unit=self._unit,
        )
    )
    return {'step': step} | metrics

  def write_scores(self, step: int, scores: Mapping[str, float]) -> None:
    """Writes and says the scores on the validation split.

    A run that ended without saying so scores its last step again; the line that
    is there holds the same.
    """
    if step not in self._scored:
      self._writer.write_scalars(step, scores, split='validation')
    say(f'step {step:,}  validation  {evaluation.format_scores(scores)}')

  def write_picture(
      self, step: int, name: str, image: UInt8[np.ndarray, 'h w 3']
  ) -> None:
    """Writes a picture and says where it is."""
    say(f'step {step:,}  {self._writer.write_image(step, name, image)}')

  def write_goodput(self, step: int, *, aloud: bool = False) -> None:
    """Writes where the time of the run went, once for a step, and may say it."""
    scalars = self._watch.scalars()
    if step != self._goodput_step:
      self._goodput_step = step
      self._writer.write_scalars(step, scalars, split='goodput')
    if aloud:
      say(goodput.summary(scalars))

  def close(self) -> None:
    """Closes all files."""
    self._writer.close()
