"""Convolutions of networks of images, and how their blocks are run."""

from typing import Any

from flax import linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from abaw_jax.cpu import dense_vjp, depthwise
from abaw_jax.models.layers import basic, blocks


def conv(
    width: int,
    size: int,
    *,
    stride: int = 1,
    init: nn.initializers.Initializer,
    dtype: DTypeLike,
    name: str,
) -> nn.Conv:
  """Returns a convolution without bias that pads as PyTorch's `size // 2` does.

  Args:
    width: channels that it gives.
    size: odd side of its kernel.
    stride: step of the kernel in pixels.
    init: of the kernel; parameters are float32.
    dtype: compute dtype.
    name: of the parameters.
  """
  return nn.Conv(
      width,
      (size, size),
      stride,
      padding=size // 2,
      use_bias=False,
      kernel_init=init,
      dtype=dtype,
      conv_general_dilated=convolve,
      name=name,
  )


def convolve(
    x: Float[Array, 'b h w c'],
    kernel: Float[Array, 'k k i d'],
    strides: tuple[int, int],
    padding: Any,
    *,
    feature_group_count: int = 1,
    **options: Any,
) -> Float[Array, 'b h_ w_ d']:
  """Returns a convolution; for `nn.Conv(conv_general_dilated=...)`.

  One of 1 x 1 is a matrix product, which is faster on CPUs and the same
  elsewhere; one of each channel by itself is `depthwise.convolve`. Policies of
  rematerialisation know all of them.
  """
  size = kernel.shape[:2]
  if size == (1, 1) and feature_group_count == 1:
    x = x[:, :: strides[0], :: strides[1]]
    return dense_vjp.dense(x, kernel[0, 0], None)
  if 1 < feature_group_count == x.shape[-1] == kernel.shape[-1]:
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
  return checkpoint_name(out, dense_vjp.NAME)


def run(
    block: nn.Module,
    x: Float[Array, 'b h w c'],
    *more: Any,
    remat: str,
    train: bool,
) -> Any:
  """Returns what a submodule makes of a map; names do not depend on `remat`.

  Args:
    block: is called with (x, *more, train=train).
    x: map of features.
    *more: arrays that do not lie with the batch.
    remat: a key of `blocks.REMATS`; `dots` saves what convolutions give and
      recomputes norms, activations and concatenations.
    train: for the block.
  """
  x = basic.split_batch(x)
  if remat == 'none':
    return block(x, *more, train=train)
  return nn.remat(
      lambda block, *args: block(*args, train=train),
      policy=blocks.REMATS[remat],
  )(block, x, *more)


def flops(
    side: int, width: int, out_width: int, size: int, stride: int = 1
) -> tuple[int, int]:
  """Returns (side of the map that a convolution gives, its FLOPs per image).

  A multiply-add counts as 2, padding included, as in `flops.py`.

  Args:
    side: of the map that it takes.
    width: channels that it takes.
    out_width: channels that it gives.
    size: side of its kernel.
    stride: step of the kernel.
  """
  side = -(-side // stride)
  return side, 2 * side * side * width * out_width * size * size
