"""Transformer encoders, from features of frames to hidden states."""

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from abaw_jax.core import errors
from abaw_jax.models.layers import (
    attention,
    batch_sharding,
    dense,
    initializers,
    positions,
    stochastic_depth,
)
from abaw_jax.models.temporal import encoder, window_context

NORMS = ('post', 'pre')
POSITIONS = ('sine', 'learned', 'rotary', 'none')
FIRST_POSITIONS = ('sine', 'zero')
TIMES = ('rows', 'frames')


class TransformerLayer(nn.Module):
  """Self-attention layer of `torch.nn.TransformerEncoderLayer` with ReLU.

  Attributes:
    num_heads: attention heads.
    mlp_dim: width of the feed-forward part.
    dropout: rate on attention probabilities, activations and both branches.
    drop_path: stochastic depth rate of both residual branches.
    norm: 'post', after the residual sums, or 'pre', before the branches.
    initializer: initializer of the kernels, a key of `initializers.KERNELS`.
    qkv_initializer: initializer of the query-key-value projection.
    dtype: compute dtype; parameters are float32.
  """

  num_heads: int
  mlp_dim: int
  dropout: float = 0.0
  drop_path: float = 0.0
  norm: str = 'post'
  initializer: str = 'default'
  qkv_initializer: nn.initializers.Initializer = dense.XAVIER
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b t d'],
      mask: Bool[Array, 'b #t t'],
      *,
      train: bool,
      times: Float[Array, '#b t'] | None = None,
  ) -> Float[Array, 'b t d']:
    """Returns embeddings of the same shape; see `attention.Attention`."""
    pre = self.norm == 'pre'
    kernel_init = initializers.KERNELS[self.initializer]
    norm1 = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name='norm1')
    norm2 = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name='norm2')
    x = batch_sharding.shard_batch(x)
    y = attention.Attention(
        self.num_heads,
        self.dropout,
        qkv_initializer=self.qkv_initializer,
        proj_initializer=initializers.PROJECTIONS[self.initializer],
        dtype=self.dtype,
        name='attn',
    )(norm1(x) if pre else x, mask, train=train, times=times)
    x = x + self._drop(y, train)
    x = x if pre else norm1(x)
    y = norm2(x) if pre else x
    y = nn.relu(dense.dense(self.mlp_dim, 'fc1', self.dtype, kernel_init)(y))
    y = nn.Dropout(self.dropout)(y, deterministic=not train)
    y = dense.dense(x.shape[-1], 'fc2', self.dtype, kernel_init)(y)
    x = x + self._drop(y, train)
    return x if pre else norm2(x)

  def _drop(self, y, train):
    y = nn.Dropout(self.dropout)(y, deterministic=not train)
    return stochastic_depth.DropPath()(y, self.drop_path, train=train)


class TransformerEncoder(encoder.Encoder):
  """Linear projection, positions and transformer layers, without a carry.

  Attributes:
    dim: width of the hidden states.
    depth: number of layers.
    num_heads: attention heads per layer.
    mlp_dim: width of the feed-forward part.
    project: whether to project features to `dim`; if not, `dim` is their width.
    dropout: rate of every dropout in the layers.
    drop_path: stochastic depth rate of the last layer; it grows linearly from
      0.
    norm: one of NORMS; 'pre' adds a norm after the last layer.
    positions: one of POSITIONS.
    first_position: code of time 0 in sine positions, one of FIRST_POSITIONS.
      Reference: zero in AIM3-RUC.
    time: unit of positions, counted from the first frame of the window: 'rows',
      or 'frames' of the video (a sparse sample skips frames).
    max_length: rows of the table of learned positions.
    mask_padding: whether attention ignores padded frames.
    causal: whether attention ignores later frames.
    initializer: initializer of the kernels, a key of `initializers.KERNELS`.
    dtype: compute dtype; parameters are float32.
  """

  dim: int
  depth: int
  num_heads: int
  mlp_dim: int
  project: bool = True
  dropout: float = 0.0
  drop_path: float = 0.0
  norm: str = 'post'
  positions: str = 'sine'
  first_position: str = 'sine'
  time: str = 'rows'
  max_length: int = 512
  mask_padding: bool = True
  causal: bool = False
  initializer: str = 'default'
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def encode(
      self, features: Array, context: window_context.WindowContext, train: bool
  ) -> Float[Array, 'b t d']:
    """Returns the hidden states; the time 'frames' needs a `frame_id`."""
    x = features.astype(self.dtype)
    if self.project:
      kernel_init = initializers.KERNELS[self.initializer]
      x = dense.dense(self.dim, 'affine', self.dtype, kernel_init)(x)
    times = self._times(x.shape[-2], context.frame_id)
    x = self._add_positions(x, times)
    keys = context.readable(mask_padding=self.mask_padding)[:, None]
    if self.causal:
      rows = jnp.arange(x.shape[-2])
      keys = keys & (rows[:, None] >= rows[None])[None]
    qkv_initializer = self._qkv_initializer()
    for i in range(self.depth):
      x = TransformerLayer(
          num_heads=self.num_heads,
          mlp_dim=self.mlp_dim,
          dropout=self.dropout,
          drop_path=self.drop_path * i / max(self.depth - 1, 1),
          norm=self.norm,
          initializer=self.initializer,
          qkv_initializer=qkv_initializer,
          dtype=self.dtype,
          name=f'layers_{i}',
      )(x, keys, train=train, times=times if self._rotary else None)
    if self.norm == 'pre':
      x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name='norm')(x)
    return x

  @property
  def _rotary(self) -> bool:
    return self.positions == 'rotary'

  def _qkv_initializer(self):
    """Returns the initializer of the query-key-value projections."""
    if self.initializer != 'normal' or not self.is_initializing():
      return dense.XAVIER
    # Reference: in AIM3-RUC the layers of an encoder are copies of one layer.
    return initializers.shared(dense.XAVIER, self.make_rng('params'))

  def _times(self, length, frame_id):
    """Returns times since the first frame of the window; [b or 1, t]."""
    if self.time == 'rows':
      return jnp.arange(length, dtype=jnp.float32)[None]
    if frame_id is None:
      raise errors.InputError(
          'config.model.time=frames: the batch has no frame_id; set it to '
          "'rows'"
      )
    return (frame_id - frame_id[:, :1]).astype(jnp.float32)

  def _add_positions(self, x, times):
    """Returns embeddings with added positions; rotary ones are added later."""
    if self.positions == 'learned':
      table = self.param(
          'pos_embed',
          nn.initializers.normal(0.02),
          (self.max_length, self.dim),
          jnp.float32,
      )
      if x.shape[-2] > self.max_length:
        raise errors.InputError(
            f'config.model.max_length={self.max_length}: a window has '
            f'{x.shape[-2]} frames; raise max_length to {x.shape[-2]}'
        )
      return x + table[None, : x.shape[-2]].astype(x.dtype)
    if self.positions != 'sine':
      return x
    codes = positions.sincos_at(times, self.dim)
    if self.first_position == 'zero':
      codes = jnp.where(times[..., None] == 0, 0.0, codes)
    return x + codes.astype(x.dtype)
