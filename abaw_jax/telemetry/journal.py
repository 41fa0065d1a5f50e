"""Metrics and messages of a run: console, metrics.jsonl and TensorBoard."""

from collections.abc import Callable, Mapping
import math
from typing import Any

import jax
from jaxtyping import UInt8
import numpy as np

from abaw_jax.core import files, labels
from abaw_jax.telemetry import (
    goodput,
    histograms,
    progress,
    weights_and_biases,
    writer,
)


def say(text: str) -> None:
  """Prints a line; only the first process does."""
  if jax.process_index() == 0:
    print(text, flush=True)


class Journal:
  """The log of one run; it continues the log of its earlier processes.

  `note` and `note_histograms` keep numbers on the devices. `write_noted` writes
  them after the next update has started, so that no device waits. Only the
  first process writes.
  """

  def __init__(
      self,
      workdir: files.Path,
      watch: goodput.Stopwatch,
      meter: progress.Meter,
      *,
      config: Mapping[str, Any],
      schedule: Callable[[int], Any],
      start: int,
      total: int,
      unit: str,
  ):
    """Opens the files and drops the steps that the run repeats.

    Args:
      workdir: folder of the run.
      watch: receives the time that earlier processes spent.
      meter: measures the speed between two log lines.
      config: of the run.
      schedule: learning rate by number of updates.
      start: number of updates of the restored state.
      total: number of updates of the run.
      unit: name of the items of a batch, such as 'frames'.
    """
    self._watch = watch
    self._meter = meter
    self._schedule = schedule
    self._total = total
    self._unit = unit
    self._writer: writer.Writer | writer.NullWriter
    self._noted: tuple[int, Mapping[str, Any], progress.Speed] | None = None
    self._histograms: tuple[int, Mapping[str, histograms.Histogram]] | None
    self._histograms = None
    self._goodput_step: int | None = None
    self._scores: dict[int, Mapping[str, Any]] = {}
    if jax.process_index() == 0:
      lines = writer.read_lines(workdir / 'metrics.jsonl')
      watch.add(goodput.earlier(lines, start))
      self._scores = {
          line['step']: line
          for line in lines
          if line['split'] == 'validation' and line['step'] <= start
      }
      others = []
      if project := config['wandb']['project']:
        others = [
            weights_and_biases.WandbRun(workdir, project=project, config=config)
        ]
      self._writer = writer.Writer(workdir, resume_step=start, others=others)
    else:
      self._writer = writer.NullWriter(workdir)
    self.write_goodput(start)

  def note(self, step: int, metrics: Mapping[str, Any]) -> None:
    """Keeps the metrics of update `step`, and the speed since the last call."""
    self._noted = step, metrics, self._meter.report()

  def note_histograms(
      self, step: int, found: Mapping[str, histograms.Histogram]
  ) -> None:
    """Keeps the histograms after `step` updates, by name."""
    self._histograms = step, found

  def write_noted(self) -> dict[str, float | int]:
    """Writes all that is noted; prints and returns the metrics, {} without any."""
    if self._histograms is not None:
      step, found = self._histograms
      self._histograms = None
      self._writer.write_histograms(step, jax.device_get(dict(found)))
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
            parts={k: metrics[k] for k in labels.MASKS if k in metrics},
            lr=lr,
            speed=speed,
            unit=self._unit,
        )
    )
    return {'step': step} | metrics

  def write_scores(
      self, step: int, scores: Mapping[str, float], summary: str
  ) -> None:
    """Writes the scores of the validation split and prints their summary.

    A run that is killed after its last evaluation repeats it. Its line is
    already there, with the same scores.
    """
    if step not in self._scores:
      self._scores[step] = scores
      self._writer.write_scalars(step, scores, split='validation')
    say(f'step {step:,}  validation  {summary}')

  def evaluations(self, score: str) -> list[tuple[int, float]]:
    """Returns the steps of the evaluations so far, in order, with one score.

    Evaluations without this score are left out. They include those of earlier
    processes of the run. Only the first process knows them.
    """
    found = [(k, v.get(score)) for k, v in sorted(self._scores.items())]
    return [(k, v) for k, v in found if v is not None and not math.isnan(v)]

  def write_picture(
      self, step: int, name: str, image: UInt8[np.ndarray, 'h w 3']
  ) -> None:
    """Writes a picture and prints its path."""
    say(f'step {step:,}  {self._writer.write_image(step, name, image)}')

  def write_goodput(self, step: int, *, show: bool = False) -> None:
    """Writes the goodput once per step; prints it with `show`."""
    scalars = self._watch.scalars()
    if step != self._goodput_step:
      self._goodput_step = step
      self._writer.write_scalars(step, scalars, split='goodput')
    if show:
      say(goodput.summary(scalars))

  def upload(self) -> None:
    """Writes all lines to a bucket, if the workdir is in one."""
    self._writer.upload()

  def close(self) -> None:
    """Closes all files."""
    self._writer.close()
