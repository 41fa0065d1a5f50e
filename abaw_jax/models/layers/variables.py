"""The weights of a model as one nested dict: parameters and running statistics.

Flax keeps the two apart. Here the statistics of batch normalisation lie under
the top-level name `batch_stats`, beside the parts of the model, so that whatever
loads, saves, converts or shards weights need not know of them.
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
  """Returns new weights of a model for inputs and keywords of these shapes."""
  variables = model.init(key, *inputs, train=False, **options)
  statistics = {STATISTICS: variables.get(STATISTICS)}
  return variables['params'] | {k: v for k, v in statistics.items() if v}


def split(weights: Weights) -> tuple[Weights, Weights]:
  """Returns (parameters, the rest: `batch_stats` where there are any)."""
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
  """Returns (output of the model, `batch_stats` as training has moved them).

  Args:
    model: what is applied.
    weights: as `init` returns them.
    *inputs: arrays, and trees of them, that it takes.
    train: whether dropout is drawn and statistics move; if not, or if there are
      none, the second result is {}.
    rngs: keys by what they are for.
    **options: other keywords of the model.
  """
  params, statistics = split(weights)
  output, moved = model.apply(
      {'params': params} | statistics,
      *inputs,
      train=train,
      rngs=rngs,
      mutable=list(statistics) if train else [],
      **options,
  )
  return output, dict(moved)
