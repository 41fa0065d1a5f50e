"""SRVGGNetCompact, the small network of Real-ESRGAN.

A stack of convolutions at the resolution of the input; the last one makes the
pixels of the output, which are added to repeated pixels of the input. Public
weights have a width of 64, a scale of 4 and 16 or 32 convolutions between the
first and the last one. Reference: https://github.com/xinntao/Real-ESRGAN.
"""

import functools

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.models.layers import prelu
from abaw_jax.models.super_resolution import pixels


class SRVGGNetCompact(nn.Module):
  """Enlarges images by any whole number.

  Attributes:
    scale: side of the output / side of the input.
    width: channels of the feature maps.
    convs: convolutions between the first and the last one.
    dtype: compute dtype; parameters and images are float32.
  """

  scale: int
  width: int
  convs: int
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self, images: Float[Array, 'b h w 3']
  ) -> Float[Array, 'b h_ w_ 3']:
    """Returns enlarged images, not clipped; `images` are in [0, 1]."""
    conv = functools.partial(pixels.conv, dtype=self.dtype)
    x = images
    for i in range(self.convs + 1):
      x = conv(self.width, x.shape[-1], name=f'conv_{i}')(x)
      x = prelu.PReLU(name=f'prelu_{i}')(x)
    # bfloat16 has fewer than 256 levels in [0.5, 1].
    last = pixels.conv(
        3 * self.scale**2, self.width, dtype=jnp.float32, name='conv_last'
    )
    residual = pixels.nearest(images, self.scale)
    return pixels.shuffle(last(x), self.scale) + residual

  @property
  def receptive_field(self) -> int:
    """Farthest pixel of the input that a pixel of the output depends on."""
    return self.convs + 2

  def flops(self, height: int, width: int) -> int:
    """Returns the FLOPs of the forward pass for an image of this size."""
    maps = self.width
    per_pixel = (
        pixels.conv_flops(maps, 3)
        + self.convs * pixels.conv_flops(maps, maps)
        + pixels.conv_flops(3 * self.scale**2, maps)
    )
    return height * width * per_pixel
