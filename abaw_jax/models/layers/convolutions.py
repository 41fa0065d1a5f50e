"""Convolutions."""

from typing import Any

from flax import linen as nn
import jax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.cpu import depthwise
from abaw_jax.models.layers import dense, rematerialization

_SMALL = (
    2  # channels of a group for which `depthwise.convolve` is faster on CPUs
)


def conv(
    width: int,
    size: int | tuple[int, int],
    *,
    stride: int = 1,
    groups: int = 1,
    padding: int | str | None = None,
    use_bias: bool = False,
    initializer: nn.initializers.Initializer,
    dtype: DTypeLike,
    name: str,
) -> nn.Conv:
  """Returns a convolution; parameters are float32, `dtype` is for computing.

  Args:
    width: output channels.
    size: height and width of the kernel, or one number for both.
    stride: step along both axes.
    groups: groups of channels; a depthwise convolution has one per channel.
    padding: zeros on each side; None means `size // 2` of an odd size, as in
      PyTorch.
    use_bias: whether there is a bias.
    initializer: of the kernel.
    dtype: compute dtype.
    name: name of the layer.
  """
  kernel = (size, size) if isinstance(size, int) else size
  return nn.Conv(
      width,
      kernel,
      stride,
      padding=kernel[0] // 2 if padding is None else padding,
      feature_group_count=groups,
      use_bias=use_bias,
      kernel_init=initializer,
      dtype=dtype,
      conv_general_dilated=convolve,
      name=name,
  )


def convolve(
    x: Float[Array, 'b h w c'],
    kernel: Float[Array, 'k l i d'],
    strides: tuple[int, int],
    padding: Any,
    *,
    feature_group_count: int = 1,
    **options: Any,
) -> Float[Array, 'b h_ w_ d']:
  """Returns a convolution; for `nn.Conv(conv_general_dilated=...)`.

  A 1 x 1 convolution becomes a matrix product, which is faster on CPUs and
  equal elsewhere. One of small groups, such as a depthwise convolution, with square
  kernels uses `depthwise.convolve`. All of them have the name that
  `rematerialization.POLICIES` saves.
  """
  size = kernel.shape[:2]
  if size == (1, 1) and feature_group_count == 1:
    x = x[:, :: strides[0], :: strides[1]]
    return dense.dot_general(x, kernel[0, 0])
  group = max(kernel.shape[2], kernel.shape[3] // feature_group_count)
  if feature_group_count > 1 and group <= _SMALL and size[0] == size[1]:
    if isinstance(padding, str):
      padding = jax.lax.padtype_to_pads(x.shape[1:3], size, strides, padding)
    out = depthwise.convolve(x, kernel, strides[0], padding)
  else:
    out = jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        feature_group_count=feature_group_count,
        **options,
    )
  return rematerialization.product(out)


def flops(
    side: int, width: int, out_width: int, size: int, stride: int = 1
) -> tuple[int, int]:
  """Returns (side of the output map, FLOPs of the convolution per image).

  `side` is that of the input map. A multiply-add counts as 2, padding included,
  as in `flops.py`.
  """
  side = -(-side // stride)
  return side, 2 * side * side * width * out_width * size * size
