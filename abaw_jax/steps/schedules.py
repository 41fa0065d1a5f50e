"""Learning rates that stand still within an epoch."""

from collections.abc import Callable, Sequence
import math
from typing import Any

import jax.numpy as jnp
import optax

from abaw_jax.core import errors

Factor = Callable[[int], float | int]


def linear(epochs: int, *, hold: float | int, **others: Any) -> Factor:
  """Returns the factor by epochs done: 1, then a line that ends above 0.

  It would be 0 in the epoch behind the last, so that none is wasted.
  """
  del others
  return lambda done: (
      1.0 - max(0.0, done + 1 - hold) / max(epochs - hold + 1, 1.0)
  )


def linear_with_warmup(
    epochs: int, *, warmup: float | int, from_zero: bool, **others: Any
) -> Factor:
  """Returns the factor by epochs done: a line up to 1, then one down.

  Reference: AIM3-RUC, with `from_zero` the first epoch has a factor of 0.
  """
  del others

  def factor(done: int) -> float:
    if done < warmup:
      return min(1.0, (done + (not from_zero)) / warmup)
    return (epochs - done) / (epochs - warmup)

  return factor


def step(epochs: int, *, hold: float | int, **others: Any) -> Factor:
  """Returns the factor by epochs done: a tenth of it every `hold` of them.

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
  """Returns the learning rate as a function of the updates done before.

  Args:
    name: key of FACTORS.
    lr: where the factor is 1.
    epoch_ends: updates done at the end of each epoch; epochs may differ in them.
    warmup: epochs in which the rate rises.
    hold: epochs at one rate.
    from_zero: whether the first of those that rise has a rate of 0.

  Raises:
    InputError: a number of epochs is out of its range.
  """
  epochs = len(epoch_ends)
  if not 0 <= warmup <= epochs:
    raise errors.InputError(
        f'config.optim.warmup_epochs={warmup}: is not within 0 and the {epochs} '
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
    step: updates done before it.
    epoch_ends: as in `by_epoch`; without any all is one epoch.
  """
  return jnp.sum(step >= jnp.array(epoch_ends, jnp.int32), dtype=jnp.int32)


def even_ends(epochs: float | int, total_steps: int) -> tuple[int, ...]:
  """Returns the updates done at the end of each of equal epochs."""
  count = max(1, math.ceil(epochs))
  return tuple(
      round(total_steps * min((i + 1) / epochs, 1.0)) for i in range(count)
  )
