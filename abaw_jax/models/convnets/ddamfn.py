"""DDAMFN++, a network for expressions with two coordinate attentions.

Its backbone is a MobileFaceNet with depthwise kernels of several sizes. Public
weights expect RGB faces of 112 x 112 pixels, mean (0.485, 0.456, 0.406), std
(0.229, 0.224, 0.225). Reference: Zhang et al., A Dual-Direction Attention Mixed
Feature Network for Facial Expression Recognition, Electronics 12 (17), 2023.
"""

from typing import Any

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.models.convnets import convnet, mobilefacenet
from abaw_jax.models.layers import convolutions

SIZES = {'ddamfn': {'layers': (10, 17, 7), 'num_heads': 2}}
# Sides of depthwise kernels and their channels, of the first block of a stage and
# of the others, by channels inside the block.
MIXES = {
    (128, 2): ((3, 64), (5, 32), (7, 32)),
    (128, 1): ((3, 96), (5, 32)),
    (256, 2): ((3, 128), (5, 64), (7, 64)),
    (256, 1): ((3, 192), (5, 64)),
    (1024, 2): ((3, 256), (5, 256), (7, 256), (9, 256)),
    (512, 1): ((3, 172), (5, 170), (7, 170)),
}
SQUEEZE = 32  # channels of a map / channels inside a coordinate attention


class CoordinateAttention(convnet.Block):
  """Weights of rows and of columns of a map (Hou et al., arXiv 2103.02907).

  Attributes:
    learned_sums: whether rows and columns are summed with trained weights;
      otherwise it is their mean.
  """

  learned_sums: bool

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h w c']:
    """Returns the product of both weights for each position and channel."""
    width = x.shape[-1]
    rows = self._sums(x, 2, 'rows', train)
    columns = self._sums(x, 1, 'columns', train)
    y = jnp.concatenate([rows, columns], axis=1)
    y = self._conv(_squeezed(width), 'squeeze')(y)
    y = nn.hard_swish(self.norm(y, 'squeeze_norm', train))
    rows, columns = jnp.split(y, [x.shape[1]], axis=1)
    rows = nn.sigmoid(self._conv(width, 'excite_rows')(rows))
    columns = nn.sigmoid(self._conv(width, 'excite_columns')(columns))
    return rows * columns.transpose(0, 2, 1, 3)

  def _sums(self, x, axis, name, train):
    """Returns sums over an axis, [b, n, 1, c]."""
    if self.learned_sums:
      sizes = (1, x.shape[2]) if axis == 2 else (x.shape[1], 1)
      options = {'groups': x.shape[-1], 'padding': 'VALID'}
      x = self.conv_norm(x, x.shape[-1], sizes, name, train, **options)
    else:
      x = x.mean(axis=axis, keepdims=True)
    return x if axis == 2 else x.transpose(0, 2, 1, 3)

  def _conv(self, width, name):
    return convolutions.conv(
        width,
        1,
        use_bias=True,
        initializer=convnet.HE,
        dtype=self.dtype,
        name=name,
    )


class Block(mobilefacenet.Block):
  """A block of a MobileFaceNet with mixed kernels and coordinate attention.

  Attributes:
    kernels: sides of the depthwise kernels, each with its number of channels.
  """

  kernels: tuple[tuple[int, int], ...]

  def mix(self, y: Array, train: bool) -> Float[Array, 'b h_ w_ e']:
    """Returns the map after the depthwise convolutions and the attention."""
    ends = [
        sum(x for _, x in self.kernels[:i]) for i in range(len(self.kernels))
    ]
    parts = [
        convolutions.conv(
            width,
            size,
            stride=self.stride,
            groups=width,
            initializer=convnet.HE,
            dtype=self.dtype,
            name=f'depthwise_{i}',
        )(part)
        for i, ((size, width), part) in enumerate(
            zip(self.kernels, jnp.split(y, ends[1:], axis=-1), strict=True)
        )
    ]
    y = jnp.concatenate(parts, axis=-1)
    attention = CoordinateAttention(
        learned_sums=False,
        frozen=self.frozen,
        dtype=self.dtype,
        name='attention',
    )
    return y * attention(y, train=train)


class DDAMFN(mobilefacenet.MobileFaceNet):
  """DDAMFN++ for faces of one size: the last layers read the full map.

  Attributes:
    num_heads: coordinate attentions of the last map; the largest weight counts.
  """

  num_heads: int = 2

  stages = (
      mobilefacenet.Stage(64, 128, 128),
      mobilefacenet.Stage(128, 256, 256),
      mobilefacenet.Stage(256, 1024, 512),
  )

  def block(self, stage: int, i: int, options: dict[str, Any]) -> Block:
    """Returns block `i` of a stage."""
    sizes = self.stages[stage - 1]
    inner, stride = (sizes.inner, 1) if i else (sizes.first, 2)
    kernels = MIXES[inner, stride]
    return Block(sizes.width, inner, stride, kernels, **options)

  def embed(self, x: Array, train: bool) -> Float[Array, 'b d']:
    """Returns the embedding: a weighted sum over the map, normalised."""
    options = self.options(len(self.layers) + 1) | {'dtype': jnp.float32}
    x = x.astype(jnp.float32)
    weights = [
        CoordinateAttention(
            learned_sums=True, **options, name=f'head_attention_{i}'
        )(x, train=train)
        for i in range(self.num_heads)
    ]
    return self.weigh(x * jnp.stack(weights).max(axis=0), train)

  def mix_flops(self, side: int, inner: int, stride: int) -> tuple[int, int]:
    """Returns (side of the output map, FLOPs of `Block.mix`)."""
    out, total = -(-side // stride), 0
    for size, width in MIXES[inner, stride]:
      total += convolutions.flops(side, 1, width, size, stride)[1]
    return out, total + _attention_flops(out, inner)

  def embed_flops(self, side: int) -> int:
    """Returns the FLOPs of `embed`."""
    width = mobilefacenet.HEAD_WIDTH
    sums = 4 * side * side * width
    attention = sums + _attention_flops(side, width)
    return self.num_heads * attention + 2 * side * side * width


def _attention_flops(side: int, width: int) -> int:
  """Returns the FLOPs of a coordinate attention without its sums."""
  return 8 * side * width * _squeezed(width)


def _squeezed(width: int) -> int:
  """Returns the channels inside a coordinate attention."""
  return max(8, width // SQUEEZE)
