"""How the losses of several tasks are balanced, beside their fixed weights.

A balance has `init`, which returns learned weights and running statistics, and a
call that adds up losses of one update: weights are trained as any parameter,
statistics move as those of batch normalisation. Both are {} where there are none.
A task without a label in the batch has a loss of 0 and moves neither, but for
`param_adjust`.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from abaw_jax.core import errors

Losses = Mapping[str, Float[Array, '']]
Labelled = Mapping[str, Bool[Array, '']]
Values = dict[str, Any]

# Softness of the shares of `dwa`. Reference: AIM3-RUC; Liu et al. have 2.
_TEMPERATURE = 1.5


@dataclasses.dataclass(frozen=True)
class Fixed:
  """No balance but the weights."""

  weights: Mapping[str, float]

  def init(self, key: Key[Array, '']) -> tuple[Values, Values]:
    """Returns ({}, {})."""
    del key
    return {}, {}

  def __call__(
      self,
      losses: Losses,
      labelled: Labelled,
      epoch: Int[Array, ''],
      learned: Values,
      statistics: Values,
  ) -> tuple[Float[Array, ''], Values]:
    """Returns (the sum of the losses, {}).

    Args:
      losses: by task, each with a weight.
      labelled: whether there was any label, by task.
      epoch: from 0.
      learned: weights, as `init` returns them.
      statistics: as `init` or the call before returns them.
    """
    del labelled, epoch, learned, statistics
    return _sum(self.weights, losses), {}


@dataclasses.dataclass(frozen=True)
class Normalized(Fixed):
  """Every loss divided by its own value, so that all have the same.

  Attributes:
    least: of the values that are divided by. Reference: AIM3-RUC, 0.
  """

  least: float

  def __call__(self, losses, labelled, epoch, learned, statistics):
    """Returns (the sum, {}); a loss of 0 stays what it is."""
    del labelled, epoch, learned, statistics

    def normalise(loss):
      value = jax.lax.stop_gradient(jnp.maximum(loss, self.least))
      return loss / jnp.where(value > 0, value, 1.0)

    return _sum(self.weights, jax.tree.map(normalise, dict(losses))), {}


@dataclasses.dataclass(frozen=True)
class Uncertainty(Fixed):
  """Every loss over a learned variance (Kendall et al., arXiv 1705.07115).

  The logarithm v of the variance is what is learned: loss / exp(v) + v / 2.
  """

  def init(self, key):
    """Returns (v = 0 by task, {})."""
    del key
    return {task: jnp.zeros([], jnp.float32) for task in self.weights}, {}

  def __call__(self, losses, labelled, epoch, learned, statistics):
    """Returns (the sum, {}); an unlabelled task does not move its variance."""
    del epoch, statistics
    scaled = {k: jnp.exp(-learned[k]) * loss for k, loss in losses.items()}
    price = sum(jnp.where(labelled[k], learned[k] / 2, 0.0) for k in losses)
    return _sum(self.weights, scaled) + price, {}


@dataclasses.dataclass(frozen=True)
class ParamAdjust(Fixed):
  """Every loss over a learned square: loss / s^2 + log |s|, as published.

  Reference: AIM3-RUC, s starts as N(0, 1) and may come close to 0. The published
  log s is NaN for negative s, but has the gradient of log |s|.
  """

  def init(self, key):
    """Returns (s by task, {})."""
    draws = jax.random.normal(key, (len(self.weights),), jnp.float32)
    return dict(zip(self.weights, draws, strict=True)), {}

  def __call__(self, losses, labelled, epoch, learned, statistics):
    """Returns (the sum, {})."""
    del labelled, epoch, statistics
    scaled = {k: loss / jnp.square(learned[k]) for k, loss in losses.items()}
    price = sum(jnp.log(jnp.abs(learned[k])) for k in losses)
    return _sum(self.weights, scaled) + price, {}


@dataclasses.dataclass(frozen=True)
class DynamicWeightAverage(Fixed):
  """More weight to losses that fell less (Liu et al., arXiv 1803.10704).

  The factors of an epoch are n times the softmax, over the n tasks, of the mean
  loss in the epoch before over that in the one before it, over a temperature;
  they are 1 in the first two. Reference: AIM3-RUC meant to do so, but noted no
  loss.
  """

  def init(self, key):
    """Returns ({}, statistics): sums of this epoch, means of two before it."""
    del key
    names = ('total', 'count', 'last', 'before')
    zeros = {name: jnp.zeros([], jnp.float32) for name in names}
    tasks = {task: dict(zeros) for task in self.weights}
    return {}, {'epoch': jnp.zeros([], jnp.float32), 'tasks': tasks}

  def __call__(self, losses, labelled, epoch, learned, statistics):
    """Returns (the sum, moved statistics)."""
    del learned
    begins = epoch > statistics['epoch']
    tasks = {
        task: _begin_epoch(begins, values)
        for task, values in statistics['tasks'].items()
    }
    known = jnp.stack([v['before'] > 0 for v in tasks.values()]).all()
    ratios = jnp.stack(
        [v['last'] / jnp.maximum(v['before'], 1e-8) for v in tasks.values()]
    )
    shares = jax.nn.softmax(ratios / _TEMPERATURE) * len(tasks)
    shares = jnp.where(known, shares, 1.0)
    scaled = {k: shares[i] * losses[k] for i, k in enumerate(tasks)}
    for task, values in tasks.items():
      loss = jax.lax.stop_gradient(losses[task])
      values['total'] += jnp.where(labelled[task], loss, 0.0)
      values['count'] += labelled[task]
    moved = {'epoch': jnp.float32(epoch), 'tasks': tasks}
    return _sum(self.weights, scaled), moved


def _begin_epoch(begins: Bool[Array, ''], values: Values) -> Values:
  """Returns the sums and means of a task, moved on where an epoch begins."""
  mean = values['total'] / jnp.maximum(values['count'], 1.0)
  # An epoch without labels leaves the means as they were.
  moves = begins & (values['count'] > 0)
  return {
      'total': jnp.where(begins, 0.0, values['total']),
      'count': jnp.where(begins, 0.0, values['count']),
      'last': jnp.where(moves, mean, values['last']),
      'before': jnp.where(moves, values['last'], values['before']),
  }


def _sum(weights: Mapping[str, float], losses: Losses) -> Float[Array, '']:
  total = jnp.zeros([], jnp.float32)
  for task, weight in weights.items():
    total += weight * losses[task]
  return total


BALANCES = {
    'fixed': Fixed,
    'normalized': Normalized,
    'uncertainty': Uncertainty,
    'param_adjust': ParamAdjust,
    'dwa': DynamicWeightAverage,
}


def make(
    name: str, *, weights: Mapping[str, float], least_loss: float
) -> Fixed:
  """Returns the balance of a config's `loss` section.

  Args:
    name: key of BALANCES.
    weights: fixed factor by task.
    least_loss: that 'normalized' divides by.

  Raises:
    InputError: there is no such balance, or the least loss is negative.
  """
  if name not in BALANCES:
    raise errors.InputError(
        f'config.loss.weighting={name}: choose one of {", ".join(BALANCES)}'
    )
  if least_loss < 0:
    raise errors.InputError(
        f'config.loss.least_loss={least_loss}: give 0 or more'
    )
  options = {'least': least_loss} if name == 'normalized' else {}
  return BALANCES[name](weights, **options)
