"""Temporal encoders: from features of the frames of a window to hidden states."""

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from abaw_jax.models import attention, layers, positions


class TransformerLayer(nn.Module):
  """Post-norm self-attention layer that never attends to padded frames.

  The layer of `torch.nn.TransformerEncoderLayer` with ReLU, which AIM3-RUC used.

  Attributes:
    num_heads: attention heads.
    mlp_dim: width of the feed-forward part.
    dropout: rate on attention probabilities, activations and both branches.
    drop_path: stochastic depth rate of both residual branches.
    dtype: compute dtype; parameters are float32.
  """

  num_heads: int
  mlp_dim: int
  dropout: float = 0.0
  drop_path: float = 0.0
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b t d'], mask: Bool[Array, 'b t'], *, train: bool
  ) -> Float[Array, 'b t d']:
    """Returns embeddings of the same shape; rows where `mask` is False are undefined."""
    x = layers.split_batch(x)
    y = attention.Attention(
        self.num_heads, self.dropout, dtype=self.dtype, name='attn'
    )(x, mask, train=train)
    y = nn.Dropout(self.dropout)(y, deterministic=not train)
    x = x + layers.DropPath()(y, self.drop_path, train=train)
    x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name='norm1')(x)
    y = nn.relu(nn.Dense(self.mlp_dim, dtype=self.dtype, name='fc1')(x))
    y = nn.Dropout(self.dropout)(y, deterministic=not train)
    y = nn.Dense(x.shape[-1], dtype=self.dtype, name='fc2')(y)
    y = nn.Dropout(self.dropout)(y, deterministic=not train)
    x = x + layers.DropPath()(y, self.drop_path, train=train)
    return nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name='norm2')(x)


class TransformerEncoder(nn.Module):
  """Linear projection, fixed positions and post-norm transformer layers.

  Positions count rows of the window from 0.

  Attributes:
    dim: width of the hidden states.
    depth: number of layers.
    num_heads: attention heads per layer.
    mlp_dim: width of the feed-forward part.
    dropout: rate of every dropout in the layers.
    drop_path: stochastic depth of the last layer; grows linearly from 0.
    dtype: compute dtype; parameters are float32.
  """

  dim: int
  depth: int
  num_heads: int
  mlp_dim: int
  dropout: float = 0.0
  drop_path: float = 0.0
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self,
      features: Float[Array, 'b t f'],
      mask: Bool[Array, 'b t'],
      *,
      train: bool,
  ) -> Float[Array, 'b t d']:
    """Returns hidden states; rows where `mask` is False are undefined."""
    x = nn.Dense(self.dim, dtype=self.dtype, name='affine')(
        features.astype(self.dtype)
    )
    x = (
        x
        + jnp.asarray(positions.sincos_time(x.shape[-2], self.dim), x.dtype)[
            None
        ]
    )
    for i in range(self.depth):
      x = TransformerLayer(
          num_heads=self.num_heads,
          mlp_dim=self.mlp_dim,
          dropout=self.dropout,
          drop_path=self.drop_path * i / max(self.depth - 1, 1),
          dtype=self.dtype,
          name=f'layers_{i}',
      )(x, mask, train=train)
    return x
