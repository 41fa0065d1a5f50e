"""The speed of a training run, and the console line that shows it."""

from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
import contextlib
import dataclasses
import datetime
from typing import Any

import jax

from abaw_jax.telemetry import goodput


@dataclasses.dataclass(frozen=True)
class Speed:
  """How fast a run went since the report before.

  Attributes:
    items_per_s: images or frames, padding not counted.
    steps_per_s: updates.
    wait: share of the time in which the devices had nothing to do because the
      next batch was not there, 0 to 1.
    flops_per_s: model FLOP/s of each device (`models/flops.py`).
    mfu: `flops_per_s` over the device's peak; None where that is not known.
  """

  items_per_s: float
  steps_per_s: float
  wait: float
  flops_per_s: float
  mfu: float | None

  def scalars(self) -> dict[str, float]:
    """Returns what belongs into the metrics; without `mfu` where it is None."""
    scalars = {
        'items_per_s': self.items_per_s,
        'data_wait': self.wait,
        'tflops_per_s': self.flops_per_s / 1e12,
    }
    return scalars if self.mfu is None else scalars | {'mfu': self.mfu}


class Meter:
  """Counts steps and items, and the time that devices wait for data.

  Only the phases `steps` and `data_wait` of the stopwatch make up the time: what
  happens between two updates, such as evaluation, does not slow a run down.
  """

  def __init__(
      self,
      watch: goodput.Stopwatch,
      *,
      flops_per_step: float,
      peak_flops: float | None,
  ):
    """Starts to count.

    Args:
      watch: the run's stopwatch; gets `data_wait` from here.
      flops_per_step: model FLOPs of an update, per device.
      peak_flops: FLOP/s of a device at best, None if not known.
    """
    self._watch = watch
    self._flops_per_step = flops_per_step
    self._peak_flops = peak_flops
    # Waits for the devices, so that training does not have to.
    self._waiter = futures.ThreadPoolExecutor(max_workers=1)
    self._finish: futures.Future[float] | None = None
    self._reset()

  def _reset(self) -> None:
    self._start = self._watch.seconds()
    self._steps = 0
    self._items = 0

  def add(self, items: int, result: Any) -> None:
    """Counts a step over this number of items, dispatched just now.

    `result` are arrays that are ready when the step has ended.
    """
    self._steps += 1
    self._items += items
    self._finish = self._waiter.submit(_when_ready, result, self._watch.clock)

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Measures how long the devices wait; put it around `next(batches)`.

    While they still work on the step before, nothing is lost.
    """
    start = self._watch.clock()
    try:
      yield
    finally:
      end = self._watch.clock()
      if self._finish is None:
        self._watch.move(end - start, 'data_wait')
      elif self._finish.done():
        idle = end - max(start, self._finish.result())
        self._watch.move(max(idle, 0.0), 'data_wait')

  def report(self) -> Speed:
    """Returns the speed since the last report, and counts from 0 again."""
    now = self._watch.seconds()
    steps, wait = (now[x] - self._start[x] for x in ('steps', 'data_wait'))
    seconds = max(steps + wait, 1e-9)
    flops_per_s = self._flops_per_step * self._steps / seconds
    speed = Speed(
        items_per_s=self._items / seconds,
        steps_per_s=self._steps / seconds,
        wait=wait / seconds,
        flops_per_s=flops_per_s,
        mfu=flops_per_s / self._peak_flops if self._peak_flops else None,
    )
    self._reset()
    return speed


def count(batch: Mapping[str, Any]) -> int:
  """Returns the images or frames of a batch, as if all parts were like ours."""
  ours = batch.get('frame_mask', batch['real']).sum()
  return int(ours) * jax.process_count()


def _when_ready(result: Any, clock: Callable[[], float]) -> float:
  """Returns the time at which arrays are ready."""
  jax.block_until_ready(result)
  return clock()


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
  1.0e-04  812 frames/s  41.3 TFLOP/s (mfu 21 %)  wait 3 %  eta 0:04:12`. `parts`
  are the losses of the tasks, none for a single one; `unit` is what an item is
  called; FLOP/s are those of each device.
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
          _flops(speed),
          f'wait {100 * speed.wait:.0f} %',
          f'eta {eta}',
      ]
  )


def _flops(speed: Speed) -> str:
  """Returns `41.3 TFLOP/s (mfu 21 %)`, or `12.1 GFLOP/s` where no peak is known."""
  scale, prefix = (1e12, 'T') if speed.flops_per_s >= 1e12 else (1e9, 'G')
  text = f'{speed.flops_per_s / scale:.1f} {prefix}FLOP/s'
  return text if speed.mfu is None else f'{text} (mfu {100 * speed.mfu:.0f} %)'
