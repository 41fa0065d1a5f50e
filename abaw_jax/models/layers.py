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
  """Stochastic depth (Huang et al., 2016): drops a residual branch per sample.

  Attributes:
    rate: probability that a sample loses the branch, in [0, 1).
  """

  rate: float

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b *d'], *, train: bool
  ) -> Float[Array, 'b *d']:
    """Returns `x`, zero on dropped samples and scaled up on the others."""
    if not train or self.rate == 0.0:
      return x
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    keep = jax.random.bernoulli(
        self.make_rng('dropout'), 1.0 - self.rate, shape
    )
    return jnp.where(keep, x / (1.0 - self.rate), 0.0).astype(x.dtype)


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


class Block(nn.Module):
  """Pre-norm transformer block of the ViT (Dosovitskiy et al., 2021).

  Attributes:
    num_heads: attention heads.
    mlp_dim: width of the MLP.
    drop_path: stochastic depth rate of both residual branches.
    dtype: compute dtype; parameters are float32.
  """

  num_heads: int
  mlp_dim: int
  drop_path: float = 0.0
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b n d'], *, train: bool
  ) -> Float[Array, 'b n d']:
    """Returns tokens of the same shape."""
    x = split_batch(x)
    y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name='norm1')(x)
    y = Attention(self.num_heads, dtype=self.dtype, name='attn')(y, train=train)
    x = x + DropPath(self.drop_path)(y, train=train)
    y = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name='norm2')(x)
    y = Mlp(self.mlp_dim, dtype=self.dtype, name='mlp')(y)
    return x + DropPath(self.drop_path)(y, train=train)
