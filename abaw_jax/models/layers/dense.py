"""Dense layers, exact GELU and the MLP of transformers."""

import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.cpu import dense_vjp, dispatch
from abaw_jax.models.layers import rematerialization

XAVIER = nn.initializers.xavier_uniform()


def dense(
    features: int,
    name: str | None,
    dtype: DTypeLike,
    initializer: nn.initializers.Initializer = XAVIER,
) -> nn.Dense:
  """Returns a dense layer with float32 parameters; `dtype` is for computing."""
  return nn.Dense(
      features,
      kernel_init=initializer,
      dot_general=dot_general,
      dtype=dtype,
      name=name,
  )


def dot_general(
    x: Float[Array, '*b n'],
    kernel: Float[Array, 'n m'],
    *_: Any,
    **__: Any,
) -> Float[Array, '*b m']:
  """Returns `x @ kernel`; for `nn.Dense(dot_general=...)`.

  `nn.Dense` gives more arguments, which always mean this product.
  """
  return rematerialization.product(_product(x, kernel))


# Without a reshape, which would copy the tiles of a TPU.
_product = dispatch.by_platform(cpu=dense_vjp.dense, default=jnp.matmul)


@jax.custom_vjp
def gelu(x: Float[Array, '*d']) -> Float[Array, '*d']:
  """Returns exact GELU, x times the normal distribution function at x.

  The custom VJP computes the gradient from `x` alone, so that only `x` is
  saved.
  """
  return x * _normal_cdf(x)


def _normal_cdf(x):
  return 0.5 + 0.5 * jax.lax.erf(x * math.sqrt(0.5))


def _gelu_forward(x):
  return gelu(x), x


def _gelu_backward(x, g):
  density = jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
  return (g * (_normal_cdf(x) + x * density),)


gelu.defvjp(_gelu_forward, _gelu_backward)


class Mlp(nn.Module):
  """Two dense layers with exact GELU between them.

  Attributes:
    hidden_dim: width between the two layers.
    dtype: compute dtype; parameters are float32.
  """

  hidden_dim: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, '*b d']) -> Float[Array, '*b d']:
    """Returns an array of the same shape as `x`."""
    hidden = gelu(dense(self.hidden_dim, 'fc1', self.dtype)(x))
    return dense(x.shape[-1], 'fc2', self.dtype)(hidden)
