"""Learning rates per epoch against the published tables."""

import jax
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.steps import schedules

# Each epoch has three updates; the second one has five.
ENDS = (3, 8, *range(11, 11 + 3 * 48, 3))


def rates(name, *, ends=ENDS, warmup=0.0, hold=0.0, from_zero=False):
  """Returns the learning rate of every update."""
  schedule = schedules.by_epoch(
      name,
      lr=1.0,
      epoch_ends=ends,
      warmup=warmup,
      hold=hold,
      from_zero=from_zero,
  )
  return np.array(jax.jit(jax.vmap(schedule))(np.arange(ends[-1])))


def by_epoch(rates):
  """Returns the rate of each epoch; it is constant within an epoch."""
  parts = np.split(rates, ENDS[:-1])
  assert all(np.ptp(part) == 0 for part in parts)
  return np.array([part[0] for part in parts])


def test_linear_equals_the_published_table():
  found = by_epoch(rates('linear', hold=20))
  assert (found[:20] == 1.0).all()
  np.testing.assert_allclose(found[20], 0.9677, atol=5e-5)
  np.testing.assert_allclose(found[49], 0.0323, atol=5e-5)
  np.testing.assert_allclose(np.diff(found[19:]), -1 / 31, atol=1e-6)


def test_linear_with_warmup_equals_the_published_table():
  found = by_epoch(rates('linear_with_warmup', warmup=10, from_zero=True))
  np.testing.assert_allclose(found[:11], np.arange(11) / 10, atol=1e-6)
  np.testing.assert_allclose(found[[11, 49]], [0.975, 0.025], atol=1e-6)
  np.testing.assert_allclose(np.diff(found[10:]), -1 / 40, atol=1e-6)


def test_corrected_warmup_has_no_epoch_with_rate_0():
  found = by_epoch(rates('linear_with_warmup', warmup=10))
  np.testing.assert_allclose(found[:10], np.arange(1, 11) / 10, atol=1e-6)
  np.testing.assert_allclose(found[10:12], [1.0, 0.975], atol=1e-6)


def test_step_divides_by_ten_every_hold_epochs():
  found = by_epoch(rates('step', hold=20))
  np.testing.assert_allclose(found[[0, 19, 20, 39, 40]], [1, 1, 0.1, 0.1, 0.01])


def test_after_the_end_the_rate_of_the_last_epoch_stays():
  schedule = schedules.by_epoch(
      'linear', lr=2.0, epoch_ends=(1, 2), warmup=0, hold=0, from_zero=False
  )
  np.testing.assert_allclose([schedule(1), schedule(9)], 2 / 3, rtol=1e-6)


def test_epochs_are_found_from_their_ends():
  found = [int(schedules.epoch_of(step, (3, 8, 11))) for step in range(12)]
  assert found == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3]
  assert int(schedules.epoch_of(5, ())) == 0
  assert schedules.even_ends(2.5, 10) == (4, 8, 10)


def test_wrong_numbers_of_epochs_are_input_errors():
  with pytest.raises(errors.InputError, match='warmup_epochs=51'):
    rates('linear_with_warmup', warmup=51)
  with pytest.raises(errors.InputError, match='hold_epochs=0'):
    rates('step')
