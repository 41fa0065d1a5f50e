"""Layers shared by the transformers: attention, MLP, stochastic depth."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

# Mesh axes over which a batch is split (training/sharding.py builds the mesh).
BATCH_AXES = ('data', 'fsdp')


def split_batch(x: Float[Array, 'b *d']) -> Float[Array, 'b *d']:
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
    dim = x.shape[-1]
    init = nn.initializers.xavier_uniform()
    x = nn.Dense(
        self.hidden_dim, kernel_init=init, dtype=self.dtype, name='fc1'
    )(x)
    x = nn.gelu(x, approximate=False)
    return nn.Dense(dim, kernel_init=init, dtype=self.dtype, name='fc2')(x)


class Attention(nn.Module):
  """Multi-head self-attention with one stacked query-key-value projection.

  The softmax is float32 whatever the compute dtype.

  Attributes:
    num_heads: number of heads; divides the feature width.
    dropout: rate on the attention probabilities, drawn per element.
    dtype: compute dtype; parameters are float32.
  """

  num_heads: int
  dropout: float = 0.0
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b n d'],
      mask: Bool[Array, 'b n'] | None = None,
      *,
      train: bool,
  ) -> Float[Array, 'b n d']:
    """Returns attended tokens.

    Args:
      x: tokens.
      mask: True on tokens that may be attended to; None means all.
      train: whether dropout is drawn.
    """
    dim = x.shape[-1]
    init = nn.initializers.xavier_uniform()
    qkv = nn.Dense(3 * dim, kernel_init=init, dtype=self.dtype, name='qkv')(x)
    qkv = qkv.reshape(*x.shape[:2], 3, self.num_heads, dim // self.num_heads)
    query, key, value = (qkv[:, :, i] for i in range(3))  # [b, n, heads, d]
    keys = None if mask is None else mask[:, None, None, :]
    if train and self.dropout > 0.0:
      # The fused kernels take no dropout on probabilities.
      logits = jnp.einsum(
          'bqhd,bkhd->bhqk', query, key, preferred_element_type=jnp.float32
      )
      logits = logits * query.shape[-1] ** -0.5
      if keys is not None:
        logits = jnp.where(keys, logits, jnp.finfo(logits.dtype).min)
      probs = jax.nn.softmax(logits, axis=-1).astype(self.dtype)
      probs = nn.Dropout(self.dropout)(probs, deterministic=False)
      out = jnp.einsum('bhqk,bkhd->bqhd', probs, value)
    else:
      out = jax.nn.dot_product_attention(query, key, value, mask=keys)
    out = out.reshape(x.shape)
    return nn.Dense(dim, kernel_init=init, dtype=self.dtype, name='proj')(out)
