"""Pooling of convolutional networks, with special forms for CPUs and ONNX.

A pooling over an array with channels last becomes one over four axes in ONNX, which
ONNX Runtime does not have. So the forms for ONNX are maxima and sums of rows and columns.
"""

from collections.abc import Iterator
import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

from abaw_jax.cpu import dispatch, fusion_barrier, shifted

_SIZE, _STRIDE = 3, 2


def max_pool(x: Float[Array, 'b h w c']) -> Float[Array, 'b h_ w_ c']:
  """Returns max pooling over 3 x 3 pixels with stride 2 and padding 1.

  The first of equal maxima, row by row, gets the gradient, as in PyTorch. On a
  CPU both passes are sums and maxima of shifted maps, which XLA fuses into
  loops. XLA's own gradient is 20 times slower there.
  """
  return _max_pool(x)


def average_pool(x: Float[Array, 'b h w c']) -> Float[Array, 'b h_ w_ c']:
  """Returns average pooling over 2 x 2 pixels with stride 2, without padding."""
  return _average_pool(x)


def _default(x):
  ones = ((1, 1), (1, 1))
  return nn.max_pool(x, (_SIZE, _SIZE), (_STRIDE, _STRIDE), ones)


@jax.custom_vjp
def _cpu(x):
  return _first_maxima(x)[0]


def _onnx_max_pool(x):
  # Repeated border pixels change no maximum.
  for axis in (1, 2):
    x = functools.reduce(
        jnp.maximum, _taken(x, axis, -(-x.shape[axis] // 2), (-1, 0, 1))
    )
  return x


_max_pool = dispatch.by_platform(
    cpu=_cpu, onnx=_onnx_max_pool, default=_default
)


def _onnx_average_pool(x):
  for axis in (1, 2):
    x = sum(_taken(x, axis, x.shape[axis] // 2, (0, 1))) / 2
  return x


_average_pool = dispatch.by_platform(
    onnx=_onnx_average_pool,
    default=lambda x: nn.avg_pool(x, (2, 2), (2, 2)),
)


def _taken(x, axis, count, offsets) -> Iterator[Float[Array, 'b h_ w_ c']]:
  """Yields `count` rows or columns from each offset on, every second one."""
  for offset in offsets:
    places = np.clip(2 * np.arange(count) + offset, 0, x.shape[axis] - 1)
    index = (slice(None),) * axis + (places,)
    yield x.at[index].get(mode='promise_in_bounds')


def _first_maxima(x):
  """Returns the maxima, and the index in 0..8 of the first maximum."""
  border = ((0, 0), (1, 1), (1, 1), (0, 0))
  out = [-(-n // _STRIDE) for n in x.shape[1:3]]
  padded = jnp.pad(x, border, constant_values=-jnp.inf)
  views = shifted.views(padded, _SIZE, _STRIDE, out)
  best = next(views)
  index = jnp.zeros(best.shape, jnp.uint8)
  for i, view in enumerate(views, start=1):
    index = jnp.where(view > best, jnp.uint8(i), index)
    best = jnp.maximum(view, best)
  return best, index


def _cpu_backward(x, g):
  # Without a barrier XLA would recompute both for every shift.
  index, g = fusion_barrier.barrier((_first_maxima(x)[1], g))
  total = jnp.zeros_like(x)
  for i in range(_SIZE * _SIZE):
    part = jnp.where(index == i, g, 0)
    lows = [offset - 1 for offset in divmod(i, _SIZE)]
    total += shifted.dilate(part, _STRIDE, lows, x.shape[1:3])
  return (total,)


_cpu.defvjp(lambda x: (_cpu(x), x), _cpu_backward)
