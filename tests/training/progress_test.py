"""The meter under a clock made by hand, and the line it ends up in."""

import pytest

from abaw_jax.training import progress


class _Clock:
  now = 100.0

  def __call__(self):
    return self.now


def test_meter_reports_rates_and_starts_again():
  clock = _Clock()
  meter = progress.Meter(clock)
  for _ in range(4):
    with meter.waiting():
      clock.now += 0.5
    clock.now += 1.5
    meter.add(16)
  assert meter.report() == progress.Speed(
      items_per_s=8.0, steps_per_s=0.5, wait=0.25
  )
  clock.now += 2.0
  meter.add(10)
  assert meter.report() == progress.Speed(
      items_per_s=5.0, steps_per_s=0.5, wait=0.0
  )


def test_waiting_counts_when_the_data_ends():
  clock = _Clock()
  meter = progress.Meter(clock)

  def wait_for_the_end():
    with meter.waiting():
      clock.now += 1.0
      raise StopIteration

  with pytest.raises(StopIteration):
    wait_for_the_end()
  clock.now += 1.0
  assert meter.report().wait == 0.5


def test_line():
  line = progress.progress_line(
      step=1200,
      total_steps=10000,
      loss=0.431,
      parts={'valence': 0.1102, 'au': 0.3208},
      lr=1e-4,
      speed=progress.Speed(items_per_s=812.3, steps_per_s=34.9, wait=0.031),
      unit='frames',
  )
  assert line == (
      'step 1,200/10,000  loss 0.4310 (valence 0.1102 au 0.3208)'
      '  lr 1.0e-04  812 frames/s  wait 3 %  eta 0:04:12'
  )


def test_line_of_a_single_loss_before_the_first_step():
  line = progress.progress_line(
      step=0,
      total_steps=10,
      loss=float('nan'),
      parts={},
      lr=0.0,
      speed=progress.Speed(items_per_s=0.0, steps_per_s=0.0, wait=0.0),
      unit='images',
  )
  assert line == (
      'step 0/10  loss nan  lr 0.0e+00  0.0 images/s  wait 0 %  eta unknown'
  )
