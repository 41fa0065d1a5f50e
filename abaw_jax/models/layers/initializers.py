"""Initializers of the weights of temporal and super-resolution models.

In temporal models, 'normal' is the initializer of AIM3-RUC: N(0, 0.02) for every
dense layer and convolution except the query-key-value projections, which are equal
in all layers of an encoder. 'default' scales with the width of the layer. With both,
recurrent layers, position tables and embeddings have their own initializers,
all other biases start at 0, and all norm scales start at 1.
"""

import math

from flax import linen as nn
import jax
from jaxtyping import Array, Key

from abaw_jax.models.layers import dense

# Kernels of dense layers and convolutions.
KERNELS = {
    'default': nn.initializers.lecun_normal(),
    'normal': nn.initializers.normal(0.02),
}
# Kernels of the output projections of attention.
PROJECTIONS = {'default': dense.XAVIER, 'normal': KERNELS['normal']}


def uniform(dim: int) -> nn.initializers.Initializer:
  """Returns U(-1, 1) / sqrt(dim).

  It is PyTorch's initializer of recurrent layers of the width `dim`, and of
  convolutions with the fan-in `dim`.
  """
  limit = 1.0 / math.sqrt(dim)
  return _flat(lambda *args: jax.random.uniform(*args, -limit, limit))


def normal(deviation: float) -> nn.initializers.Initializer:
  """Returns the initializer N(0, deviation)."""
  return _flat(nn.initializers.normal(deviation))


def _flat(draw: nn.initializers.Initializer) -> nn.initializers.Initializer:
  """Returns an initializer that draws a vector and reshapes it.

  The numbers do not change, and XLA compiles for a CPU in a sixth of the time.
  """
  return lambda key, shape, *dtype: draw(
      key, (math.prod(shape),), *dtype
  ).reshape(shape)


def shared(
    initializer: nn.initializers.Initializer, key: Key[Array, '']
) -> nn.initializers.Initializer:
  """Returns an initializer that gives every layer the same values."""
  return lambda _, shape, dtype: initializer(key, shape, dtype)
