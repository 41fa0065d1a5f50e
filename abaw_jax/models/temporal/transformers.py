"""Transformer encoders: from features of the frames of a window to hidden states.

All temporal encoders have one signature: features [b, t, f], a mask [b, t] that
is True on real frames, a carry (state from the window before, see
`recurrent.py`; {} in encoders without one), `train`, the true frame numbers and
the length of the window. They return hidden states [b, t, d] and the next carry.
"""

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PyTree
import numpy as np

from abaw_jax.core import errors
from abaw_jax.models.layers import attention, basic, initializers, positions
from abaw_jax.models.temporal import masks

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
    norm: 'post' behind the residual sums, or 'pre' in front of the branches.
    law: of the kernels, a key of `initialisation.LAWS`.
    qkv_init: law of the query-key-value projection.
    dtype: compute dtype; parameters are float32.
  """

  num_heads: int
  mlp_dim: int
  dropout: float = 0.0
  drop_path: float = 0.0
  norm: str = 'post'
  law: str = 'default'
  qkv_init: nn.initializers.Initializer = basic.XAVIER
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
    """Returns embeddings of the same shape.

    Args:
      x: embeddings of frames.
      mask: True where a frame (row) may attend to another (column).
      train: whether dropout is drawn.
      times: of the frames, for rotary positions; None means without them.
    """
    pre = self.norm == 'pre'
    kernel_init = initializers.LAWS[self.law]
    norm1 = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name='norm1')
    norm2 = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name='norm2')
    x = basic.split_batch(x)
    y = attention.Attention(
        self.num_heads,
        self.dropout,
        qkv_init=self.qkv_init,
        proj_init=initializers.PROJECTIONS[self.law],
        dtype=self.dtype,
        name='attn',
    )(norm1(x) if pre else x, mask, train=train, times=times)
    x = x + self._drop(y, train)
    x = x if pre else norm1(x)
    y = norm2(x) if pre else x
    y = nn.relu(basic.dense(self.mlp_dim, 'fc1', self.dtype, kernel_init)(y))
    y = nn.Dropout(self.dropout)(y, deterministic=not train)
    y = basic.dense(x.shape[-1], 'fc2', self.dtype, kernel_init)(y)
    x = x + self._drop(y, train)
    return x if pre else norm2(x)

  def _drop(self, y, train):
    y = nn.Dropout(self.dropout)(y, deterministic=not train)
    return basic.DropPath()(y, self.drop_path, train=train)


class TransformerEncoder(nn.Module):
  """Linear projection, positions and transformer layers; has no carry.

  Attributes:
    dim: width of the hidden states.
    depth: number of layers.
    num_heads: attention heads per layer.
    mlp_dim: width of the feed-forward part.
    project: whether features are projected to `dim`, or have that width.
    dropout: rate of every dropout in the layers.
    drop_path: stochastic depth of the last layer; grows linearly from 0.
    norm: one of NORMS; 'pre' has one more norm behind the last layer.
    positions: one of POSITIONS.
    first_position: code of time 0 in sine positions, one of FIRST_POSITIONS.
      Reference: AIM3-RUC, it is zero.
    time: what positions count from the first frame of the window: 'rows', or
      'frames' of the video, of which a sparse sample leaves some out.
    max_length: rows of the table of learned positions.
    mask_padding: whether padded frames are never attended to.
    causal: whether later frames are never attended to.
    law: of the kernels, a key of `initialisation.LAWS`.
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
  law: str = 'default'
  dtype: DTypeLike = jnp.float32

  def initial_carry(self, batch_size: int) -> PyTree[Array]:
    """Returns the carry of windows that begin a video."""
    del batch_size
    return {}

  @nn.compact
  def __call__(
      self,
      features: Float[Array, 'b t f'],
      mask: Bool[Array, 'b t'],
      carry: PyTree[Float[Array, 'b ...']],
      *,
      train: bool,
      frame_id: Int[Array, 'b t'] | None = None,
      window_length: Int[Array, 'b'] | None = None,
  ) -> tuple[Float[Array, 'b t d'], PyTree[Float[Array, 'b ...']]]:
    """Returns (hidden states, carry); rows where `mask` is False are undefined.

    Args:
      features: one vector per frame.
      mask: True on real frames.
      carry: {}.
      train: whether dropout is drawn.
      frame_id: true frame numbers, for `time='frames'`.
      window_length: frames of the window; None means all. Counts only without
        `mask_padding`.
    """
    x = features.astype(self.dtype)
    if self.project:
      kernel_init = initializers.LAWS[self.law]
      x = basic.dense(self.dim, 'affine', self.dtype, kernel_init)(x)
    times = self._times(x.shape[-2], frame_id)
    x = self._add_positions(x, times)
    keys = masks.readable(mask, window_length, mask_padding=self.mask_padding)
    keys = keys[:, None]
    if self.causal:
      keys = keys & jnp.asarray(np.tri(x.shape[-2], dtype=bool))[None]
    qkv_init = self._qkv_init()
    for i in range(self.depth):
      x = TransformerLayer(
          num_heads=self.num_heads,
          mlp_dim=self.mlp_dim,
          dropout=self.dropout,
          drop_path=self.drop_path * i / max(self.depth - 1, 1),
          norm=self.norm,
          law=self.law,
          qkv_init=qkv_init,
          dtype=self.dtype,
          name=f'layers_{i}',
      )(x, keys, train=train, times=times if self._rotary else None)
    if self.norm == 'pre':
      x = nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name='norm')(x)
    return x, carry

  @property
  def _rotary(self) -> bool:
    return self.positions == 'rotary'

  def _qkv_init(self):
    """Returns the law of the query-key-value projections."""
    if self.law != 'normal' or not self.is_initializing():
      return basic.XAVIER
    # Reference: AIM3-RUC, the layers of an encoder are copies of one.
    return initializers.shared(basic.XAVIER, self.make_rng('params'))

  def _times(self, length, frame_id):
    """Returns when frames are, from the first of the window; [b or 1, t]."""
    if self.time == 'rows':
      return jnp.arange(length, dtype=jnp.float32)[None]
    if frame_id is None:
      raise errors.InputError(
          'config.model.time=frames: needs the frame_id of a batch, which has '
          "none; set it to 'rows'"
      )
    return (frame_id - frame_id[:, :1]).astype(jnp.float32)

  def _add_positions(self, x, times):
    """Returns embeddings that tell when they are."""
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
            f'{x.shape[-2]} frames; raise it to that'
        )
      return x + table[None, : x.shape[-2]].astype(x.dtype)
    if self.positions != 'sine':
      return x
    codes = positions.sincos_at(times, self.dim)
    if self.first_position == 'zero':
      codes = jnp.where(times[..., None] == 0, 0.0, codes)
    return x + codes.astype(x.dtype)
