"""Convolution of small groups of channels, with a special form for CPUs."""

from collections.abc import Sequence
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.cpu import dispatch, fusion_barrier, shifted


def convolve(
    x: Float[Array, 'b h w c'],
    kernel: Float[Array, 'k k i d'],
    stride: int,
    pads: Sequence[tuple[int, int]],
) -> Float[Array, 'b h_ w_ d']:
  """Returns the convolution of each group of i channels with its own kernels.

  With groups of one channel it is a depthwise convolution. On a CPU this is a sum of
  shifted products, which XLA fuses into one loop. XLA's own convolution is 10 to 30
  times slower there, and is used on other platforms. `pads` are the zeros before and
  after the rows, then the columns.
  """
  # Python integers, so that equal arguments are compiled once.
  pads = tuple((int(low), int(high)) for low, high in pads)
  return _convolve(x, kernel, int(stride), pads)


def _default(x, kernel, stride, pads):
  return jax.lax.conv_general_dilated(
      x,
      kernel,
      (stride, stride),
      pads,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=x.shape[-1] // kernel.shape[2],
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _cpu(x, kernel, stride, pads):
  return _shifted_products(x, kernel, stride, pads)


def _cpu_forward(x, kernel, stride, pads):
  return _cpu(x, kernel, stride, pads), (x, kernel)


def _cpu_backward(stride, pads, residuals, g):
  return _gradients(*residuals, g, stride, pads)


_cpu.defvjp(_cpu_forward, _cpu_backward)


def _by_groups(x, kernel, stride, pads):
  """Returns the convolution as a sum of depthwise ones."""
  size = kernel.shape[2]  # channels of a group
  if size == 1 and kernel.shape[3] == x.shape[3]:
    return _cpu(x, kernel, stride, pads)
  outputs = kernel.shape[3] * size // x.shape[3]  # of a group
  parts = [x[..., i::size] for i in range(size)]
  found = [
      sum(
          _cpu(part, kernel[:, :, i : i + 1, j::outputs], stride, pads)
          for i, part in enumerate(parts)
      )
      for j in range(outputs)
  ]
  out = jnp.stack(found, axis=-1)
  return out.reshape(*out.shape[:3], kernel.shape[3])


_convolve = dispatch.by_platform(cpu=_by_groups, default=_default)


def _shifted_products(x, kernel, stride, pads):
  size = kernel.shape[0]
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  rows, columns = ((n - size) // stride + 1 for n in x.shape[1:3])
  views = shifted.views(x, size, stride, (rows, columns))
  weights = kernel.reshape(-1, 1, 1, 1, x.shape[-1])
  out = sum(view * w for view, w in zip(views, weights, strict=True))
  # Without a barrier XLA would recompute it inside every consumer.
  return fusion_barrier.barrier(out)


def _gradients(x, kernel, g, stride, pads):
  size = kernel.shape[0]
  # The input gradient is a convolution of the output gradient, dilated by the
  # stride, with the flipped kernel.
  lows = [size - 1 - low for low, _ in pads]
  extents = [n + size - 1 for n in x.shape[1:3]]
  dilated = shifted.dilate(g, stride, lows, extents)
  d_x = _shifted_products(dilated, kernel[::-1, ::-1], 1, ((0, 0), (0, 0)))
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))

  def add_image(total, image):
    x, g = (part[None].astype(jnp.float32) for part in image)
    views = shifted.views(x, size, stride, g.shape[1:3])
    sums = [jnp.sum(view * g, axis=(0, 1, 2)) for view in views]
    return total + jnp.stack(sums), None

  # One image fits into the cache for all positions of the kernel.
  total = jnp.zeros((size * size, x.shape[-1]), jnp.float32)
  total, _ = jax.lax.scan(add_image, total, (padded, g))
  return d_x, total.reshape(kernel.shape).astype(kernel.dtype)
