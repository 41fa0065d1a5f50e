"""A map in threads keeps the order, and neither waits nor runs away."""

import time

from abaw_jax.upscaling import threads


def test_results_come_in_order_and_soon():
  taken = []

  def items():
    for i in range(60):
      taken.append(i)
      yield i

  def double(i):
    time.sleep(0.01 * (i == 0))  # the first result is late
    return 2 * i

  for i, result in enumerate(threads.mapped(double, items())):
    assert result == 2 * i
    assert len(taken) <= i + threads._AHEAD + 2


def test_a_result_does_not_wait_for_more_items():
  def items():
    yield 1
    time.sleep(0.1)
    yield 2
    assert seen[:1] == [1]

  seen = []
  for result in threads.mapped(int, items()):
    seen.append(result)
  assert seen == [1, 2]
