"""Methods that weight the losses of tasks, in addition to fixed weights.

A method has `init`, which returns learned weights and running statistics, and a
call that sums the losses of one update. Learned weights are trained like
parameters; statistics are updated like those of batch normalisation. Both may
be {}. A task without a label in the batch has a loss of 0 and changes neither
of them, except with `param_adjust`.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from abaw_jax.core import choices

Losses = Mapping[str, Float[Array, '']]
Labelled = Mapping[str, Bool[Array, '']]
Values = dict[str, Any]

# Softmax temperature of `dwa`. Reference: AIM3-RUC; Liu et al. use 2.
_TEMPERATURE = 1.5


@dataclasses.dataclass(frozen=True)
class Fixed:
  """Only the fixed weights."""

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
    """Returns (weighted sum of the losses, {}).

    Args:
      losses: loss of every task that has a weight.
      labelled: whether the batch has a label, for each task.
      epoch: epoch of the update, from 0.
      learned: learned weights from `init`.
      statistics: running statistics from `init` or the previous call.
    """
    del labelled, epoch, learned, statistics
    return _sum(self.weights, losses), {}


@dataclasses.dataclass(frozen=True)
class Normalized(Fixed):
  """Divides every loss by its own value, so that all losses are equal.

  Attributes:
    least_loss: minimum of the divisor. Reference: 0 in AIM3-RUC.
  """

  least_loss: float

  def __call__(self, losses, labelled, epoch, learned, statistics):
    """Returns (weighted sum, {}); a loss of 0 stays 0."""
    del labelled, epoch, learned, statistics

    def normalise(loss):
      value = jax.lax.stop_gradient(jnp.maximum(loss, self.least_loss))
      return loss / jnp.where(value > 0, value, 1.0)

    return _sum(self.weights, jax.tree.map(normalise, dict(losses))), {}


@dataclasses.dataclass(frozen=True)
class Uncertainty(Fixed):
  """Divides losses by learned variances (Kendall et al., arXiv 1705.07115).

  The learned weight is the log-variance v: loss / exp(v) + v / 2.
  """

  def init(self, key):
    """Returns (v = 0 for each task, {})."""
    del key
    return {task: jnp.zeros([], jnp.float32) for task in self.weights}, {}

  def __call__(self, losses, labelled, epoch, learned, statistics):
    """Returns (weighted sum, {}); unlabelled tasks keep their variance."""
    del epoch, statistics
    scaled = {k: jnp.exp(-learned[k]) * loss for k, loss in losses.items()}
    penalty = sum(jnp.where(labelled[k], learned[k] / 2, 0.0) for k in losses)
    return _sum(self.weights, scaled) + penalty, {}


@dataclasses.dataclass(frozen=True)
class ParamAdjust(Fixed):
  """Divides every loss by a learned square: loss / s^2 + log |s|, as published.

  Reference: AIM3-RUC. The initial s is N(0, 1) and may be close to 0. The
  published log s is NaN for negative s, but has the gradient of log |s|.
  """

  def init(self, key):
    """Returns (s for each task, {})."""
    draws = jax.random.normal(key, (len(self.weights),), jnp.float32)
    return dict(zip(self.weights, draws, strict=True)), {}

  def __call__(self, losses, labelled, epoch, learned, statistics):
    """Returns (weighted sum, {})."""
    del labelled, epoch, statistics
    scaled = {k: loss / jnp.square(learned[k]) for k, loss in losses.items()}
    penalty = sum(jnp.log(jnp.abs(learned[k])) for k in losses)
    return _sum(self.weights, scaled) + penalty, {}


@dataclasses.dataclass(frozen=True)
class DynamicWeightAverage(Fixed):
  """Weights losses more that decreased less (Liu et al., arXiv 1803.10704).

  In epoch e the factors of n tasks are n softmax(L(e - 1) / L(e - 2) / T), with
  the mean losses L of earlier epochs and a temperature T. They are 1 in the
  first two epochs. Reference: AIM3-RUC has this method, but never stores the
  losses.
  """

  def init(self, key):
    """Returns ({}, statistics): sums of this epoch, means of the last two."""
    del key
    names = ('total', 'count', 'last', 'second_last')
    zeros = {name: jnp.zeros([], jnp.float32) for name in names}
    tasks = {task: dict(zeros) for task in self.weights}
    return {}, {'epoch': jnp.zeros([], jnp.float32), 'tasks': tasks}

  def __call__(self, losses, labelled, epoch, learned, statistics):
    """Returns (weighted sum, updated statistics)."""
    del learned
    begins = epoch > statistics['epoch']
    tasks = {
        task: _begin_epoch(begins, values)
        for task, values in statistics['tasks'].items()
    }
    known = jnp.stack([v['second_last'] > 0 for v in tasks.values()]).all()
    ratios = [
        v['last'] / jnp.maximum(v['second_last'], 1e-8) for v in tasks.values()
    ]
    shares = jax.nn.softmax(jnp.stack(ratios) / _TEMPERATURE) * len(tasks)
    shares = jnp.where(known, shares, 1.0)
    scaled = {k: shares[i] * losses[k] for i, k in enumerate(tasks)}
    for task, values in tasks.items():
      loss = jax.lax.stop_gradient(losses[task])
      values['total'] += jnp.where(labelled[task], loss, 0.0)
      values['count'] += labelled[task]
    updated = {'epoch': jnp.float32(epoch), 'tasks': tasks}
    return _sum(self.weights, scaled), updated


def _begin_epoch(begins: Bool[Array, ''], values: Values) -> Values:
  """Returns the sums and means of a task, shifted if an epoch begins."""
  mean = values['total'] / jnp.maximum(values['count'], 1.0)
  # An epoch without labels does not change the means.
  moves = begins & (values['count'] > 0)
  return {
      'total': jnp.where(begins, 0.0, values['total']),
      'count': jnp.where(begins, 0.0, values['count']),
      'last': jnp.where(moves, mean, values['last']),
      'second_last': jnp.where(moves, values['last'], values['second_last']),
  }


def _sum(weights: Mapping[str, float], losses: Losses) -> Float[Array, '']:
  total = jnp.zeros([], jnp.float32)
  for task, weight in weights.items():
    total += weight * losses[task]
  return total


METHODS = {
    'fixed': Fixed,
    'normalized': Normalized,
    'uncertainty': Uncertainty,
    'param_adjust': ParamAdjust,
    'dwa': DynamicWeightAverage,
}


def make(
    name: str, *, weights: Mapping[str, float], least_loss: float
) -> Fixed:
  """Returns the loss weighting of the `loss` section of a config.

  `least_loss`, at least 0, is the minimum of the divisor of 'normalized'. An
  unknown name raises an InputError.
  """
  method = choices.choose(METHODS, name, 'loss.weighting')
  options = {'least_loss': least_loss} if name == 'normalized' else {}
  return method(weights, **options)
