"""RRDBNet, the generator of ESRGAN and Real-ESRGAN.

References: Wang et al., arXiv 1809.00219 (residual in residual dense blocks), and
arXiv 2107.10833 (pixel-unshuffle for the scales 1 and 2). Names of parameters are
those of BasicSR. Public weights have a width of 64, a growth of 32 and 23 or 6
blocks.
"""

import functools
import math

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.models.layers import (
    batch_sharding,
    initializers,
    rematerialization,
)
from abaw_jax.models.super_resolution import pixels

# Side of the squares of pixels that become channels first, by scale. The network
# then enlarges four times.
UNSHUFFLE = {1: 4, 2: 2, 4: 1}
_CONVS, _DENSE_BLOCKS = 5, 3
_RESIDUAL = 0.2  # weight of a residual branch

_leaky_relu = functools.partial(jax.nn.leaky_relu, negative_slope=0.2)
_GAIN = 0.1 * math.sqrt(2.0)  # Kaiming normal, scaled by 0.1


class DenseBlock(nn.Module):
  """Five convolutions; each reads the input and the outputs of all before it.

  Attributes:
    growth: channels of the outputs of the first four.
    dtype: compute dtype; parameters are float32.
  """

  growth: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
    """Returns the input plus the scaled output of the last convolution."""
    maps = [x]
    for i in range(1, _CONVS + 1):
      dense = jnp.concatenate(maps, axis=-1)
      out = pixels.conv(
          self.growth if i < _CONVS else x.shape[-1],
          dense.shape[-1],
          dtype=self.dtype,
          name=f'conv{i}',
          kernel_init=initializers.normal(
              _GAIN / math.sqrt(pixels.SIZE**2 * dense.shape[-1])
          ),
          bias_init=nn.initializers.zeros,
      )(dense)
      maps.append(_leaky_relu(out))
    return x + _RESIDUAL * out


class Block(nn.Module):
  """Residual in residual dense block: three dense blocks and a shortcut.

  Attributes:
    growth: see `DenseBlock`.
    dtype: compute dtype; parameters are float32.
  """

  growth: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w c']) -> Float[Array, 'b h w c']:
    """Returns the input plus the scaled output of the last dense block."""
    y = x
    for i in range(1, _DENSE_BLOCKS + 1):
      y = DenseBlock(self.growth, self.dtype, name=f'rdb{i}')(y)
    return x + _RESIDUAL * y


class RRDBNet(nn.Module):
  """Enlarges images by 1, 2 or 4.

  Attributes:
    scale: side of the output / side of the input.
    width: channels of the feature map.
    growth: channels that a convolution adds inside a dense block.
    blocks: number of blocks.
    dtype: compute dtype; parameters and images are float32.
    remat: rematerialisation policy, a key of `rematerialization.POLICIES`.
  """

  scale: int
  width: int
  growth: int
  blocks: int
  dtype: DTypeLike = jnp.float32
  remat: str = 'none'

  @nn.compact
  def __call__(
      self, images: Float[Array, 'b h w 3']
  ) -> Float[Array, 'b h_ w_ 3']:
    """Returns enlarged images, not clipped.

    Args:
      images: in [0, 1]; their sides are multiples of 4 / `scale`.
    """
    x = pixels.unshuffle(images, UNSHUFFLE[self.scale])
    conv = functools.partial(pixels.conv, self.width, dtype=self.dtype)
    x = conv(x.shape[-1], name='conv_first')(x)
    y = x
    for i in range(self.blocks):
      block = Block(self.growth, self.dtype, name=f'body_{i}')
      y = self._apply(block, batch_sharding.shard_batch(y))
    x = x + conv(self.width, name='conv_body')(y)
    for name in ('conv_up1', 'conv_up2'):
      x = _leaky_relu(conv(self.width, name=name)(pixels.nearest(x, 2)))
    x = _leaky_relu(conv(self.width, name='conv_hr')(x))
    # bfloat16 has fewer than 256 levels in [0.5, 1].
    last = pixels.conv(3, self.width, dtype=jnp.float32, name='conv_last')
    return last(x)

  def _apply(self, block: Block, x: Array) -> Array:
    """Returns block(x); `remat` does not change the names of parameters."""
    if self.remat == 'none':
      return block(x)
    policy = rematerialization.POLICIES[self.remat]
    return nn.remat(lambda block, x: block(x), policy=policy)(block, x)

  @property
  def receptive_field(self) -> int:
    """Farthest pixel of the input that a pixel of the output depends on."""
    convs = self.blocks * _DENSE_BLOCKS * _CONVS + 2
    enlarging = 2  # four convolutions of larger maps
    side = UNSHUFFLE[self.scale]
    return side * (convs + enlarging) + side - 1

  def flops(self, height: int, width: int) -> int:
    """Returns the FLOPs of the forward pass for an image of this size."""
    maps, side = self.width, UNSHUFFLE[self.scale]
    square = pixels.conv_flops(maps, maps)
    once = pixels.conv_flops(maps, 3 * side**2) + square
    for i in range(_CONVS):
      out = self.growth if i < _CONVS - 1 else maps
      dense = pixels.conv_flops(out, maps + i * self.growth)
      once += self.blocks * _DENSE_BLOCKS * dense
    # Maps of 4 and 16 times as many pixels.
    enlarged = 4 * square + 16 * (2 * square + pixels.conv_flops(3, maps))
    return height * width // side**2 * (once + enlarged)
