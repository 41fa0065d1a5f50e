"""The weights of a model as one nested dict: parameters and running statistics.

Flax has two collections. Here the statistics of batch normalisation have the
top-level name `batch_stats`, next to the parts of the model. So code that
loads, saves, converts or shards weights needs no special case for them.
"""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
from jaxtyping import Array, Key

STATISTICS = 'batch_stats'

Weights = dict[str, Any]


def init(
    model: nn.Module, key: Key[Array, ''], *inputs: Any, **options: Any
) -> Weights:
  """Returns initial weights of a model for inputs of these shapes."""
  variables = model.init(key, *inputs, train=False, **options)
  statistics = {STATISTICS: variables.get(STATISTICS)}
  return variables['params'] | {k: v for k, v in statistics.items() if v}


def split(weights: Weights) -> tuple[Weights, Weights]:
  """Returns (parameters, `batch_stats` as {'batch_stats': ...}, or {})."""
  trained = {k: v for k, v in weights.items() if k != STATISTICS}
  return trained, {k: v for k, v in weights.items() if k == STATISTICS}


def apply(
    model: nn.Module,
    weights: Weights,
    *inputs: Any,
    train: bool,
    rngs: Mapping[str, Key[Array, '']] | None = None,
    **options: Any,
) -> tuple[Any, Weights]:
  """Returns (output of the model, updated `batch_stats`).

  Args:
    model: the model.
    weights: weights from `init`.
    *inputs: inputs of the model, arrays or pytrees.
    train: whether dropout is active and statistics are updated; if not, or if
      the model has no statistics, the second result is {}.
    rngs: random keys by Flax's stream name.
    **options: other keyword arguments of the model.
  """
  params, statistics = split(weights)
  output, updated = model.apply(
      {'params': params} | statistics,
      *inputs,
      train=train,
      rngs=rngs,
      mutable=list(statistics) if train else [],
      **options,
  )
  return output, dict(updated)
