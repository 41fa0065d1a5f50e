"""Max pooling of network stems, with a special form for CPUs."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.cpu import dispatch, fusion_barrier, shifted

_SIZE, _STRIDE = 3, 2


def max_pool(x: Float[Array, 'b h w c']) -> Float[Array, 'b h_ w_ c']:
  """Returns max pooling over 3 x 3 pixels with stride 2 and padding 1.

  The first of equal maxima, row by row, gets the gradient, as in PyTorch. On a
  CPU both passes are sums and maxima of shifted maps, which XLA fuses into
  loops. XLA's own gradient is 20 times slower there.
  """
  return _max_pool(x)


def _default(x):
  ones = ((1, 1), (1, 1))
  return nn.max_pool(x, (_SIZE, _SIZE), (_STRIDE, _STRIDE), ones)


@jax.custom_vjp
def _cpu(x):
  return _first_maxima(x)[0]


_max_pool = dispatch.by_platform(cpu=_cpu, default=_default)


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
