"""The speed of a training run, and its console line."""

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
  """The speed of a run since the previous report.

  Attributes:
    items_per_s: images or frames per second, without padding.
    steps_per_s: updates per second.
    wait: share of the time, 0 to 1, in which the devices were idle because the
      next batch was not ready.
    flops_per_s: model FLOP/s of each device (`models/flops.py`).
    mfu: `flops_per_s` divided by the peak of the device, None if it is not
      known.
  """

  items_per_s: float
  steps_per_s: float
  wait: float
  flops_per_s: float
  mfu: float | None

  def scalars(self) -> dict[str, float]:
    """Returns the speed as metrics; without `mfu` if it is None."""
    scalars = {
        'items_per_s': self.items_per_s,
        'data_wait': self.wait,
        'tflops_per_s': self.flops_per_s / 1e12,
    }
    return scalars if self.mfu is None else scalars | {'mfu': self.mfu}


class Meter:
  """Counts updates, items, and the time that devices wait for data.

  Speeds refer to the phases `steps` and `data_wait` of the stopwatch only.
  Evaluation, for example, does not count.
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
      watch: stopwatch of the run; receives the time of `data_wait`.
      flops_per_step: model FLOPs of an update on each device.
      peak_flops: peak FLOP/s of a device, None if it is not known.
    """
    self._watch = watch
    self._flops_per_step = flops_per_step
    self._peak_flops = peak_flops
    # A thread waits for the devices, so that training does not.
    self._waiter = futures.ThreadPoolExecutor(max_workers=1)
    self._finish: futures.Future[float] | None = None
    self._reset()

  def _reset(self) -> None:
    self._start = self._watch.seconds()
    self._steps = 0
    self._items = 0

  def add(self, items: int, result: Any) -> None:
    """Counts an update that was just dispatched.

    Args:
      items: number of items of its batch.
      result: arrays that are ready when the update has ended.
    """
    self._steps += 1
    self._items += items
    self._finish = self._waiter.submit(_when_ready, result, self._watch.clock)

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Measures how long the devices wait; put `next(batches)` inside.

    The time until the previous update has ended does not count.
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
    """Returns the speed since the last report and resets all counters."""
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


def count_items(batch: Mapping[str, Any]) -> int:
  """Returns the images or frames of a batch, without padding.

  Every process is assumed to have as many as this one.
  """
  local = batch.get('frame_mask', batch['real']).sum()
  return int(local) * jax.process_count()


def _when_ready(result: Any, clock: Callable[[], float]) -> float:
  """Waits for arrays; returns the time at which they are ready."""
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
  1.0e-04  812 frames/s  41.3 TFLOP/s (mfu 21 %)  wait 3 %  eta 0:04:12`.

  Args:
    step: number of finished updates.
    total_steps: number of updates of the run.
    loss: total loss.
    parts: losses that are parts of the total; empty for a single loss.
    lr: learning rate.
    speed: speed since the previous line; its FLOP/s are those of each device.
    unit: name of the items, such as 'frames'.
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
  """Returns `41.3 TFLOP/s (mfu 21 %)`, or `12.1 GFLOP/s` if `mfu` is None."""
  scale, prefix = (1e12, 'T') if speed.flops_per_s >= 1e12 else (1e9, 'G')
  text = f'{speed.flops_per_s / scale:.1f} {prefix}FLOP/s'
  return text if speed.mfu is None else f'{text} (mfu {100 * speed.mfu:.0f} %)'
