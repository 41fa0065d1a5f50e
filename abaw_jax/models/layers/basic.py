"""Layers shared by the transformers: dense, GELU, MLP, stochastic depth."""

import math

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Shaped

from abaw_jax.cpu import dense_vjp

# Mesh axes over which a batch is split (training/sharding.py builds the mesh).
BATCH_AXES = ('data', 'fsdp')

# Values of `model.dtype`: the type in which layers compute.
DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}

XAVIER = nn.initializers.xavier_uniform()


def split_batch(x: Shaped[Array, 'b *d']) -> Shaped[Array, 'b *d']:
  """Returns `x`, held to a split over its leading axis where a mesh is set.

  Without this hint at the borders of blocks XLA may replicate activations: the
  ViT-B MAE step then asks for 80 times the memory on a 256-chip slice.
  """
  if jax.sharding.get_abstract_mesh().empty:
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec(BATCH_AXES))


class DropPath(nn.Module):
  """Stochastic depth (Huang et al., 2016): drops a residual branch per sample."""

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b *d'],
      rate: float | Float[Array, ''],
      *,
      train: bool,
  ) -> Float[Array, 'b *d']:
    """Returns `x`, zero on dropped samples and scaled up on the others.

    `rate` is the probability that a sample loses the branch, in [0, 1); under a
    scan over layers it is an array.
    """
    if not train or (isinstance(rate, float) and rate == 0.0):
      return x
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    keep = jax.random.bernoulli(self.make_rng('dropout'), 1.0 - rate, shape)
    return jnp.where(keep, x / (1.0 - rate), 0.0).astype(x.dtype)


def dense(
    features: int,
    name: str | None,
    dtype: DTypeLike,
    init: nn.initializers.Initializer = XAVIER,
) -> nn.Dense:
  """Returns a dense layer; parameters are float32, `init` is of the kernel."""
  return nn.Dense(
      features,
      kernel_init=init,
      dot_general=dense_vjp.dense,
      dtype=dtype,
      name=name,
  )


@jax.custom_vjp
def gelu(x: Float[Array, '*d']) -> Float[Array, '*d']:
  """Returns exact GELU, x times the normal distribution function at x.

  The gradient is computed from `x` alone, so that nothing else is saved.
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
    """Returns an array of the shape of `x`."""
    hidden = gelu(dense(self.hidden_dim, 'fc1', self.dtype)(x))
    return dense(x.shape[-1], 'fc2', self.dtype)(hidden)
