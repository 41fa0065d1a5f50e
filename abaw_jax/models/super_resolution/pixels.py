"""Changes of resolution, and the convolution that the networks share."""

from typing import Any

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.models.layers import convolutions, initializers

SIZE = 3  # side of every kernel


def conv(
    width: int, in_width: int, *, dtype: DTypeLike, name: str, **options: Any
) -> nn.Conv:
  """Returns a 3 x 3 convolution with bias, initialised as in PyTorch.

  Args:
    width: channels of the output.
    in_width: channels of the input.
    dtype: compute dtype; parameters are float32.
    name: of the layer.
    **options: other arguments of `nn.Conv`.
  """
  uniform = initializers.uniform(SIZE**2 * in_width)
  return nn.Conv(
      width,
      (SIZE, SIZE),
      padding=SIZE // 2,
      dtype=dtype,
      conv_general_dilated=convolutions.convolve,
      name=name,
      **{'kernel_init': uniform, 'bias_init': uniform} | options,
  )


def conv_flops(width: int, in_width: int) -> int:
  """Returns the FLOPs of `conv` per pixel of its output."""
  return 2 * SIZE**2 * width * in_width


def nearest(
    x: Float[Array, 'b h w c'], scale: int
) -> Float[Array, 'b h_ w_ c']:
  """Returns the images, `scale` times larger, with repeated pixels."""
  b, h, w, c = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, scale, w, scale, c))
  return x.reshape(b, h * scale, w * scale, c)


def shuffle(
    x: Float[Array, 'b h w d'], scale: int
) -> Float[Array, 'b h_ w_ c']:
  """Returns images whose pixels were channels, as PyTorch's `pixel_shuffle`."""
  b, h, w, d = x.shape
  c = d // scale**2
  x = x.reshape(b, h, w, c, scale, scale).transpose(0, 1, 4, 2, 5, 3)
  return x.reshape(b, h * scale, w * scale, c)


def unshuffle(
    x: Float[Array, 'b h w c'], scale: int
) -> Float[Array, 'b h_ w_ d']:
  """Inverts `shuffle`; `scale` divides height and width."""
  b, h, w, c = x.shape
  h, w = h // scale, w // scale
  x = x.reshape(b, h, scale, w, scale, c).transpose(0, 1, 3, 5, 2, 4)
  return x.reshape(b, h, w, c * scale**2)
