"""Pooling of tokens by attention with one learned query."""

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.models.layers import attention, dense


class AttentionPool(nn.Module):
  """The pooling head of SigLIP (Zhai et al., arXiv 2303.15343).

  Attributes:
    num_heads: attention heads.
    mlp_dim: hidden width of the MLP.
    activation: of the MLP, a key of `dense.ACTIVATIONS`.
    norm_eps: epsilon of the norm.
    dtype: compute dtype; parameters are float32.
  """

  num_heads: int
  mlp_dim: int
  activation: str
  norm_eps: float
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, tokens: Float[Array, 'b n d']) -> Float[Array, 'b d']:
    """Returns one vector per image."""
    batch, _, dim = tokens.shape
    latent = self.param('latent', nn.initializers.normal(0.02), (1, 1, dim))
    query = dense.dense(dim, 'q', self.dtype)(latent.astype(self.dtype))
    query = jnp.broadcast_to(query, (batch, 1, dim))
    kv = dense.dense(2 * dim, 'kv', self.dtype)(tokens)
    heads = (
        part.reshape(batch, -1, self.num_heads, dim // self.num_heads)
        for part in (query, *jnp.split(kv, 2, axis=-1))
    )
    x = attention.attend(*heads, None).reshape(batch, dim)
    x = dense.dense(dim, 'proj', self.dtype)(x)
    y = nn.LayerNorm(epsilon=self.norm_eps, dtype=self.dtype, name='norm')(x)
    y = dense.Mlp(
        self.mlp_dim, self.dtype, activation=self.activation, name='mlp'
    )(y)
    return x + y
