"""Max pooling as the stems of networks do it, with a gradient for the machine."""

from collections.abc import Iterator

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.cpu import fusion_barrier

_SIZE, _STRIDE = 3, 2


@jax.custom_vjp
def max_pool(x: Float[Array, 'b h w c']) -> Float[Array, 'b h_ w_ c']:
  """Returns the maxima of 3 x 3 pixels in steps of 2, borders padded by one.

  Of equal maxima the first one, row by row, has the gradient, as in PyTorch. On a
  CPU both directions are sums and maxima of shifted maps, which XLA fuses into
  loops; its own gradient there is 20 times as slow.
  """
  return jax.lax.platform_dependent(
      x, cpu=lambda x: _first_maxima(x)[0], default=_whole
  )


def _whole(x):
  ones = ((1, 1), (1, 1))
  return nn.max_pool(x, (_SIZE, _SIZE), (_STRIDE, _STRIDE), ones)


def _forward(x):
  return max_pool(x), x


def _backward(x, g):
  return (
      jax.lax.platform_dependent(
          x,
          g,
          cpu=_shifted_gradient,
          default=lambda x, g: jax.vjp(_whole, x)[1](g)[0],
      ),
  )


max_pool.defvjp(_forward, _backward)


def _first_maxima(x):
  """Returns the maxima, and which of the 9 pixels is the first such."""
  border = ((0, 0), (1, 1), (1, 1), (0, 0))
  views = _views(jnp.pad(x, border, constant_values=-jnp.inf))
  best = next(views)
  place = jnp.zeros(best.shape, jnp.uint8)
  for i, view in enumerate(views, start=1):
    place = jnp.where(view > best, jnp.uint8(i), place)
    best = jnp.maximum(view, best)
  return best, place


def _shifted_gradient(x, g):
  # Not the maxima, nor the gradient, anew for each shift.
  place, g = fusion_barrier.fence((_first_maxima(x)[1], g))
  total = jnp.zeros_like(x)
  for i in range(_SIZE * _SIZE):
    part = jnp.where(place == i, g, 0)
    spread = [(0, 0, 0)]
    for n, n_out, low in zip(
        x.shape[1:3], g.shape[1:3], divmod(i, _SIZE), strict=True
    ):
      # What falls on the border is cut off by negative padding.
      low -= 1
      high = n - low - ((n_out - 1) * _STRIDE + 1)
      spread.append((low, high, _STRIDE - 1))
    zero = jnp.zeros((), part.dtype)
    total += jax.lax.pad(part, zero, (*spread, (0, 0, 0)))
  return total


def _views(x: Array) -> Iterator[Array]:
  """Returns what each of the 9 pixels is to all windows of padded maps."""
  rows, columns = (n - _SIZE + 1 for n in x.shape[1:3])
  for i in range(_SIZE):
    for j in range(_SIZE):
      yield x[:, i : i + rows : _STRIDE, j : j + columns : _STRIDE]
