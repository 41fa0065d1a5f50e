"""The FFT encoder: relative attention, and convolutions over time.

It is the feed-forward transformer block of speech synthesis (Ren et al., 2019,
with the relative attention of Shaw et al., 2018), in the form of AIM3-RUC.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float
import numpy as np

from abaw_jax.models.layers import batch_sharding, dense, initializers
from abaw_jax.models.temporal import encoder, window_context

MAX_DISTANCE = 4  # frames; larger distances have no relative position
KERNEL_SIZE = 5  # frames


class RelativeAttention(nn.Module):
  """Self-attention with relative positions of near frames; see `FFTEncoder`."""

  num_heads: int
  dropout: float = 0.0
  initializer: str = 'default'
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b t d'], mask: Bool[Array, 'b t'], *, train: bool
  ) -> Float[Array, 'b t d']:
    """Returns attended frames; frames with a False `mask` are undefined.

    score_ij = q_i (k_j + K_{j-i}) / sqrt(d)
    out_i = sum_j p_ij (v_j + V_{j-i}), p = softmax of scores

    All heads share K and V, which are zero for distances above MAX_DISTANCE.
    """
    length, dim = x.shape[-2:]
    width = dim // self.num_heads
    kernel_init = initializers.PROJECTIONS[self.initializer]
    qkv = dense.dense(3 * dim, 'qkv', self.dtype, kernel_init)(x)
    qkv = qkv.reshape(*x.shape[:2], 3, self.num_heads, width)
    query, key, value = jnp.moveaxis(qkv, 2, 0)  # [b, t, h, d]
    near_keys, near_values = (
        self.param(
            name,
            nn.initializers.normal(width**-0.5),
            (2 * MAX_DISTANCE + 1, width),
            jnp.float32,
        ).astype(self.dtype)
        for name in ('near_keys', 'near_values')
    )
    distance = np.arange(length)[None] - np.arange(length)[:, None]
    offsets = np.arange(-MAX_DISTANCE, MAX_DISTANCE + 1)
    near = jnp.asarray(distance[..., None] == offsets, self.dtype)  # [i, j, w]

    scores = jnp.einsum('bihd,bjhd->bhij', query, key)
    by_distance = jnp.einsum('bihd,wd->bhiw', query, near_keys)
    scores = scores + jnp.einsum('bhiw,ijw->bhij', by_distance, near)
    scores = scores.astype(jnp.float32) * width**-0.5
    least = jnp.finfo(scores.dtype).min
    scores = jnp.where(mask[:, None, None], scores, least)
    probs = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
    probs = nn.Dropout(self.dropout)(probs, deterministic=not train)
    out = jnp.einsum('bhij,bjhd->bihd', probs, value)
    by_distance = jnp.einsum('bhij,ijw->bhiw', probs, near)
    out = out + jnp.einsum('bhiw,wd->bihd', by_distance, near_values)
    return dense.dense(dim, 'proj', self.dtype, kernel_init)(
        out.reshape(x.shape)
    )


class FFTEncoder(encoder.Encoder):
  """Linear projection and blocks of relative attention and one convolution.

  It never reads padding, and hidden states of padding are zero. It has no other
  positions and no carry.

  Attributes:
    dim: width of the hidden states.
    depth: number of blocks.
    num_heads: attention heads per block.
    dropout: rate of every dropout.
    initializer: initializer of the kernels, a key of `initializers.KERNELS`.
    dtype: compute dtype; parameters are float32.
  """

  dim: int
  depth: int
  num_heads: int
  dropout: float = 0.1
  initializer: str = 'default'
  dtype: DTypeLike = jnp.float32

  causal = False

  @nn.compact
  def encode(
      self, features: Array, context: window_context.WindowContext, train: bool
  ) -> Float[Array, 'b t d']:
    """Returns the hidden states; only the `mask` of the context is used."""
    kernel_init = initializers.KERNELS[self.initializer]
    x = dense.dense(self.dim, 'affine', self.dtype, kernel_init)(
        features.astype(self.dtype)
    )
    real = context.mask[..., None]

    def drop(y):
      return nn.Dropout(self.dropout)(y, deterministic=not train)

    def norm(name):
      return nn.LayerNorm(epsilon=1e-4, dtype=self.dtype, name=name)

    for i in range(self.depth):
      x = batch_sharding.shard_batch(jnp.where(real, x, 0.0))
      attn = RelativeAttention(
          self.num_heads,
          self.dropout,
          self.initializer,
          self.dtype,
          name=f'attn_{i}',
      )
      x = norm(f'norm1_{i}')(x + drop(attn(x, context.mask, train=train)))
      y = nn.Conv(
          self.dim,
          (KERNEL_SIZE,),
          kernel_init=kernel_init,
          dtype=self.dtype,
          name=f'conv_{i}',
      )(jnp.where(real, x, 0.0))
      x = norm(f'norm2_{i}')(x + drop(drop(nn.relu(y))))
    return jnp.where(real, x, 0.0)
