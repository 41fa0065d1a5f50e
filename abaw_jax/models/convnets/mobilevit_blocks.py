"""Blocks of MobileViT and MobileViT-V2; see `mobilevit.py`."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from abaw_jax.models.convnets import convnet
from abaw_jax.models.layers import convolutions, transformer_blocks

NUM_HEADS = 4
MLP_RATIO = 2  # hidden width of the transformers' MLP / their width
_EPSILON = 1e-5  # of layer and group normalisation


class InvertedResidual(convnet.Block):
  """Expansion, depthwise convolution and projection of MobileNetV2.

  Attributes:
    width: channels of the output.
    stride: step of the depthwise convolution.
    expand: width inside the block / input width.
  """

  width: int
  stride: int
  expand: int

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns a feature map; `stride` divides its side."""
    inner = self.expand * x.shape[-1]
    options = {'stride': self.stride, 'groups': inner}
    y = nn.silu(self.conv_norm(x, inner, 1, 'expand', train))
    y = nn.silu(self.conv_norm(y, inner, 3, 'depthwise', train, **options))
    y = self.conv_norm(y, self.width, 1, 'project', train)
    return y if self.stride > 1 or y.shape != x.shape else x + y


class SeparableBlock(convnet.Block):
  """Transformer block of MobileViT-V2: attention with one query for all tokens."""

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b p n d'], *, train: bool
  ) -> Float[Array, 'b p n d']:
    """Returns tokens; each of the p sets of tokens attends to itself."""
    del train
    dim = x.shape[-1]
    y = self._conv(2 * dim + 1, 'qkv_proj', _group_norm('norm1', self)(x))
    query, key, value = jnp.split(y, [1, 1 + dim], axis=-1)
    scores = jax.nn.softmax(query.astype(jnp.float32), axis=-2)
    context = jnp.sum(key * scores.astype(key.dtype), axis=-2, keepdims=True)
    x = x + self._conv(dim, 'out_proj', nn.relu(value) * context)
    y = self._conv(MLP_RATIO * dim, 'fc1', _group_norm('norm2', self)(x))
    return x + self._conv(dim, 'fc2', nn.silu(y))

  def _conv(self, width, name, x):
    return convolutions.conv(
        width,
        1,
        use_bias=True,
        initializer=nn.initializers.xavier_uniform(),
        dtype=self.dtype,
        name=name,
    )(x)


def _group_norm(name: str, block: convnet.Block) -> nn.GroupNorm:
  """Returns a norm over all tokens and channels of an image."""
  return nn.GroupNorm(1, epsilon=_EPSILON, dtype=block.dtype, name=name)


class MobileViTBlock(convnet.Block):
  """Convolutions around a transformer over patches of 2 x 2 positions.

  The transformer mixes positions with the same place in their patch.

  Attributes:
    dim: width of the transformer.
    depth: its number of blocks.
    separable: whether it is the block of MobileViT-V2.
  """

  dim: int
  depth: int
  separable: bool

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ c']:
    """Returns a map of the same side; of V2 with an even side, made larger."""
    return (self._separable if self.separable else self._fused)(x, train)

  def _fused(self, x, train):
    """Returns the output of MobileViT's block."""
    width, side = x.shape[-1], x.shape[1]
    y = self._lift(nn.silu(self.conv_norm(x, width, 3, 'local', train)))
    y = resize(y, side + side % 2, align_corners=False)
    tokens = _to_tokens(y)
    shape = tokens.shape
    tokens = tokens.reshape(-1, *shape[2:])
    for i in range(self.depth):
      tokens = transformer_blocks.Block(
          NUM_HEADS,
          MLP_RATIO * self.dim,
          self.dtype,
          activation='silu',
          norm_eps=_EPSILON,
          name=f'transformer_{i}',
      )(tokens, train=train)
    norm = nn.LayerNorm(epsilon=_EPSILON, dtype=self.dtype, name='norm')
    y = _to_map(norm(tokens).reshape(shape), y.shape)
    y = resize(y, side, align_corners=False)
    y = nn.silu(self.conv_norm(y, width, 1, 'merge', train))
    y = jnp.concatenate([x, y], axis=-1)
    return nn.silu(self.conv_norm(y, width, 3, 'fuse', train))

  def _separable(self, x, train):
    """Returns the output of MobileViT-V2's block."""
    width, side = x.shape[-1], x.shape[1]
    x = resize(x, side + side % 2, align_corners=True)
    options = {'groups': width}
    y = nn.silu(self.conv_norm(x, width, 3, 'local', train, **options))
    y = self._lift(y)
    tokens = _to_tokens(y)
    for i in range(self.depth):
      block = SeparableBlock(dtype=self.dtype, name=f'transformer_{i}')
      tokens = block(tokens, train=train)
    y = _to_map(_group_norm('norm', self)(tokens), y.shape)
    return self.conv_norm(y, width, 1, 'merge', train)

  def _lift(self, y):
    """Returns the map with the width of the transformer."""
    return convolutions.conv(
        self.dim, 1, initializer=convnet.HE, dtype=self.dtype, name='lift'
    )(y)


def resize(
    x: Float[Array, 'b n n c'], side: int, *, align_corners: bool
) -> Float[Array, 'b s s c']:
  """Returns a square map with another side, interpolated bilinearly.

  Equals `torch.nn.functional.interpolate` without antialiasing.

  Args:
    x: feature map.
    side: side of the result.
    align_corners: whether the centres of the corners stay at their places;
      otherwise the borders of the map do.
  """
  old = x.shape[1]
  if side == old:
    return x
  places = np.arange(side) * (old - 1) / max(1, side - 1)
  if not align_corners:
    places = np.clip((np.arange(side) + 0.5) * old / side - 0.5, 0, old - 1)
  distances = np.abs(places[:, None] - np.arange(old))
  weights = jnp.asarray(np.maximum(0, 1 - distances), x.dtype)
  return jnp.einsum(
      'ip,jq,bpqc->bijc', weights, weights, x, precision='highest'
  )


def _to_tokens(x: Float[Array, 'b h w c']) -> Float[Array, 'b 4 n c']:
  """Returns the positions by their place in their patch of 2 x 2."""
  b, h, w, c = x.shape
  x = x.reshape(b, h // 2, 2, w // 2, 2, c)
  return x.transpose(0, 2, 4, 1, 3, 5).reshape(b, 4, h * w // 4, c)


def _to_map(
    tokens: Float[Array, 'b 4 n c'], shape: tuple[int, ...]
) -> Float[Array, 'b h w c']:
  """Inverts `_to_tokens`."""
  b, h, w, c = shape
  x = tokens.reshape(b, 2, 2, h // 2, w // 2, c)
  return x.transpose(0, 3, 1, 4, 2, 5).reshape(shape)
