"""The meter with a manual clock, and the progress line."""

import threading

import pytest

from abaw_jax.telemetry import goodput, progress


class _Clock:
  now = 100.0

  def __call__(self):
    return self.now


class _Step:
  """The result of an update that ends when the test calls `finish`."""

  def __init__(self):
    self._ready = threading.Event()

  def block_until_ready(self):
    assert self._ready.wait(60)
    return self

  def finish(self, meter):
    self._ready.set()
    meter._finish.result(60)


@pytest.fixture
def clock():
  return _Clock()


@pytest.fixture
def watch(clock):
  watch = goodput.Stopwatch(clock=clock)
  watch.switch('steps')
  return watch


@pytest.fixture
def meter(watch):
  return progress.Meter(watch, flops_per_step=4e12, peak_flops=1e13)


def test_meter_reports_rates_and_resets(clock, watch, meter):
  for _ in range(4):
    with meter.waiting():
      clock.now += 0.5
    step = _Step()
    meter.add(16, step)
    clock.now += 1.5
    step.finish(meter)
  assert meter.report() == progress.Speed(
      items_per_s=8.0, steps_per_s=0.5, wait=0.25, flops_per_s=2e12, mfu=0.2
  )
  clock.now += 2.0
  with watch.phase('evaluation'):
    clock.now += 100.0
  meter.add(10, ())
  assert meter.report() == progress.Speed(
      items_per_s=5.0, steps_per_s=0.5, wait=0.0, flops_per_s=2e12, mfu=0.2
  )
  assert watch.seconds()['data_wait'] == 2.0


def test_waiting_does_not_count_while_the_device_works(clock, meter):
  step = _Step()
  meter.add(1, step)
  with meter.waiting():
    clock.now += 3.0
  step.finish(meter)
  assert meter.report().wait == 0.0


def test_waiting_counts_from_the_end_of_the_update(clock, meter):
  step = _Step()
  meter.add(1, step)
  with meter.waiting():
    clock.now += 3.0
    step.finish(meter)
    clock.now += 1.0
  assert meter.report().wait == 0.25


def test_waiting_counts_when_the_data_ends(clock, meter):
  def wait_for_the_end():
    with meter.waiting():
      clock.now += 1.0
      raise StopIteration

  with pytest.raises(StopIteration):
    wait_for_the_end()
  clock.now += 1.0
  assert meter.report().wait == 0.5


def test_without_a_known_peak_there_is_no_mfu(clock, watch):
  meter = progress.Meter(watch, flops_per_step=4e12, peak_flops=None)
  meter.add(3, ())
  clock.now += 2.0
  assert meter.report().scalars() == {
      'items_per_s': 1.5,
      'data_wait': 0.0,
      'tflops_per_s': 2.0,
  }


def test_line():
  line = progress.progress_line(
      step=1200,
      total_steps=10000,
      loss=0.431,
      parts={'valence': 0.1102, 'au': 0.3208},
      lr=1e-4,
      speed=progress.Speed(
          items_per_s=812.3,
          steps_per_s=34.9,
          wait=0.031,
          flops_per_s=41.34e12,
          mfu=0.2098,
      ),
      unit='frames',
  )
  assert line == (
      'step 1,200/10,000  loss 0.4310 (valence 0.1102 au 0.3208)  lr 1.0e-04'
      '  812 frames/s  41.3 TFLOP/s (mfu 21 %)  wait 3 %  eta 0:04:12'
  )


def test_line_of_a_single_loss_before_the_first_step():
  line = progress.progress_line(
      step=0,
      total_steps=10,
      loss=float('nan'),
      parts={},
      lr=0.0,
      speed=progress.Speed(
          items_per_s=0.0, steps_per_s=0.0, wait=0.0, flops_per_s=0.0, mfu=None
      ),
      unit='images',
  )
  assert line == (
      'step 0/10  loss nan  lr 0.0e+00  0.0 images/s  0.0 GFLOP/s  wait 0 %  '
      'eta unknown'
  )
