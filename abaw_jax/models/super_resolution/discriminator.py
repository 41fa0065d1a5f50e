"""The U-Net discriminator of Real-ESRGAN, with spectral normalisation.

References: Wang et al., arXiv 2107.10833; Miyato et al., arXiv 1802.05957. Names of
parameters are those of BasicSR's `UNetDiscriminatorSN`.
"""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.models.layers import convolutions, initializers
from abaw_jax.models.super_resolution import pixels

_EPSILON = 1e-12  # as in PyTorch

_leaky_relu = functools.partial(jax.nn.leaky_relu, negative_slope=0.2)


class SpectralConv(nn.Module):
  """A convolution without bias whose kernel is divided by its spectral norm.

  The kernel is a matrix with one row per output channel. Each call in training does
  one power iteration, as PyTorch's `spectral_norm`. Its left vector `u` is in
  `batch_stats`; it starts with equal numbers, which compiles faster than random
  ones. Gradients flow through the norm, but not through its vectors.

  Attributes:
    width: channels of the output.
    size: side of the kernel.
    stride: of the convolution.
    dtype: compute dtype; parameters and vectors are float32.
  """

  width: int
  size: int
  stride: int = 1
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b h w c'], *, train: bool
  ) -> Float[Array, 'b h_ w_ d']:
    """Returns the convolution, padded with one pixel of 0 on each side."""
    shape = (self.size, self.size, x.shape[-1], self.width)
    limit = initializers.uniform(self.size**2 * x.shape[-1])
    kernel = self.param('kernel', limit, shape, jnp.float32)
    left = self.variable(
        'batch_stats', 'u', lambda: _unit(jnp.ones(self.width, jnp.float32))
    )
    matrix = kernel.reshape(-1, self.width)  # transposed
    fixed = jax.lax.stop_gradient(matrix)
    u = left.value
    v = _unit(jnp.matmul(fixed, u, precision='highest'))
    if train and not self.is_initializing():
      u = _unit(jnp.matmul(v, fixed, precision='highest'))
      if self.is_mutable_collection('batch_stats'):
        left.value = u
    norm = jnp.einsum('i,ij,j->', v, matrix, u, precision='highest')
    return convolutions.convolve(
        x.astype(self.dtype),
        (kernel / norm).astype(self.dtype),
        (self.stride, self.stride),
        ((1, 1), (1, 1)),
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )


class UNetDiscriminator(nn.Module):
  """Returns one logit per pixel: whether it is of a real image.

  Attributes:
    width: channels of the first map; deeper maps have up to 8 times as many.
    dtype: compute dtype; parameters and logits are float32.
  """

  width: int = 64
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> Float[Array, 'b h w 1']:
    """Returns the logits.

    Args:
      images: in [0, 1]; their sides are multiples of 8.
      train: whether to do and keep power iterations.
    """

    def conv(x, factor, name, *, size=3, stride=1):
      layer = SpectralConv(
          factor * self.width, size, stride, self.dtype, name=name
      )
      return _leaky_relu(layer(x, train=train))

    halve = functools.partial(conv, size=4, stride=2)
    first = pixels.conv(self.width, 3, dtype=self.dtype, name='conv0')
    x0 = _leaky_relu(first(images))
    x1 = halve(x0, 2, 'conv1')
    x2 = halve(x1, 4, 'conv2')
    x3 = halve(x2, 8, 'conv3')
    x = conv(_doubled(x3), 4, 'conv4') + x2
    x = conv(_doubled(x), 2, 'conv5') + x1
    x = conv(_doubled(x), 1, 'conv6') + x0
    x = conv(conv(x, 1, 'conv7'), 1, 'conv8')
    return pixels.conv(1, self.width, dtype=jnp.float32, name='conv9')(x)

  def flops(self, height: int, width: int) -> int:
    """Returns the FLOPs of the forward pass for an image of this size."""
    w = self.width
    # Channels in and out, kernel size, and pixels of the input per output pixel.
    layers = (
        (3, w, 3, 1), (w, 2 * w, 4, 4), (2 * w, 4 * w, 4, 16),
        (4 * w, 8 * w, 4, 64), (8 * w, 4 * w, 3, 16), (4 * w, 2 * w, 3, 4),
        (2 * w, w, 3, 1), (w, w, 3, 1), (w, w, 3, 1), (w, 1, 3, 1),
    )  # fmt: skip
    return sum(
        2 * height * width // pixels * i * o * size**2
        for i, o, size, pixels in layers
    )


def _unit(x: Float[Array, 'd']) -> Float[Array, 'd']:
  return x / jnp.maximum(jnp.linalg.norm(x), _EPSILON)


def _doubled(x: Float[Array, 'b h w c']) -> Float[Array, 'b h_ w_ c']:
  """Returns maps of twice the size, interpolated linearly."""
  b, h, w, c = x.shape
  return jax.image.resize(x, (b, 2 * h, 2 * w, c), 'linear')
