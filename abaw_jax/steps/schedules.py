"""Learning rates that are constant within an epoch."""

from collections.abc import Callable, Sequence
import math
from typing import Any

import jax.numpy as jnp
import optax

from abaw_jax.core import errors

Factor = Callable[[int], float | int]


def linear(epochs: int, *, hold: float | int, **others: Any) -> Factor:
  """Returns the factor by finished epochs: 1, then a linear decay.

  It reaches 0 one epoch after the last, so that no epoch has a rate of 0.
  """
  del others
  return lambda done: (
      1.0 - max(0.0, done + 1 - hold) / max(epochs - hold + 1, 1.0)
  )


def linear_with_warmup(
    epochs: int, *, warmup: float | int, from_zero: bool, **others: Any
) -> Factor:
  """Returns the factor by finished epochs: linear warmup, then linear decay.

  Reference: AIM3-RUC. With `from_zero`, the factor of the first epoch is 0.
  """
  del others

  def factor(done: int) -> float:
    if done < warmup:
      return min(1.0, (done + (not from_zero)) / warmup)
    return (epochs - done) / (epochs - warmup)

  return factor


def step(epochs: int, *, hold: float | int, **others: Any) -> Factor:
  """Returns the factor by finished epochs: divided by 10 every `hold` epochs.

  Raises:
    InputError: `hold` is not above 0.
  """
  del epochs, others
  if hold <= 0:
    raise errors.InputError(
        f'config.optim.hold_epochs={hold}: give the epochs between two steps'
    )
  return lambda done: 0.1 ** (done // hold)


FACTORS = {
    'linear': linear,
    'linear_with_warmup': linear_with_warmup,
    'step': step,
}


def by_epoch(
    name: str,
    *,
    lr: float,
    epoch_ends: Sequence[int],
    warmup: float | int,
    hold: float | int,
    from_zero: bool,
) -> optax.Schedule:
  """Returns the learning rate as a function of the number of updates before.

  Args:
    name: key of FACTORS.
    lr: learning rate at a factor of 1.
    epoch_ends: number of updates at the end of each epoch; epochs may differ in
      length.
    warmup: number of epochs of the warmup.
    hold: number of epochs at a constant rate.
    from_zero: whether the first epoch of the warmup has a rate of 0.

  Raises:
    InputError: a number of epochs is out of its range.
  """
  epochs = len(epoch_ends)
  if warmup > epochs:
    raise errors.InputError(
        f'config.optim.warmup_epochs={warmup}: is longer than the {epochs} '
        'epochs of the training; lower it or raise config.epochs'
    )
  factor = FACTORS[name](epochs, hold=hold, warmup=warmup, from_zero=from_zero)
  rates = [lr * factor(done) for done in range(epochs)]

  def schedule(step):
    epoch = jnp.minimum(epoch_of(step, epoch_ends), epochs - 1)
    return jnp.array(rates, jnp.float32)[epoch]

  return schedule


def epoch_of(step, epoch_ends: Sequence[int]):
  """Returns the epoch of an update, int32 [], from 0.

  Args:
    step: number of updates before it.
    epoch_ends: as in `by_epoch`; empty means a single epoch.
  """
  return jnp.sum(step >= jnp.array(epoch_ends, jnp.int32), dtype=jnp.int32)


def even_ends(epochs: float | int, total_steps: int) -> tuple[int, ...]:
  """Returns the number of updates at the end of each of equal epochs."""
  count = max(1, math.ceil(epochs))
  return tuple(
      round(total_steps * min((i + 1) / epochs, 1.0)) for i in range(count)
  )
