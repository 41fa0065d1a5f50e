"""From which laws the weights of a temporal model are drawn.

`normal` is what AIM3-RUC ran: N(0, 0.02) for every linear layer and convolution
but the query-key-value projections, which are the same in all layers of an
encoder. `default` scales with the width of the layer. Recurrent layers, tables
of positions and embeddings have laws of their own in both; all other biases are 0
and all scales of norms 1.
"""

import math

from flax import linen as nn
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from abaw_jax.models.layers import basic

# Kernels of dense layers and convolutions.
LAWS = {
    'default': nn.initializers.lecun_normal(),
    'normal': nn.initializers.normal(0.02),
}
# Kernels behind attention heads.
PROJECTIONS = {'default': basic.XAVIER, 'normal': LAWS['normal']}


def uniform(dim: int) -> nn.initializers.Initializer:
  """Returns PyTorch's law of recurrent layers, U(-1, 1) / sqrt(dim)."""
  limit = 1.0 / math.sqrt(dim)

  def draw(
      key: Key[Array, ''], shape: tuple[int, ...], dtype: DTypeLike
  ) -> Float[Array, '...']:
    return jax.random.uniform(key, shape, dtype, -limit, limit)

  return draw


def shared(
    init: nn.initializers.Initializer, key: Key[Array, '']
) -> nn.initializers.Initializer:
  """Returns a law that gives every layer the same numbers."""
  return lambda _, shape, dtype: init(key, shape, dtype)
