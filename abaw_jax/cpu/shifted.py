"""Shifted maps, of which the CPU forms of convolution and pooling are sums."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def views(
    x: Float[Array, 'b h w c'], size: int, stride: int, out: Sequence[int]
) -> Iterator[Float[Array, 'b h_ w_ c']]:
  """Yields the pixels of padded maps under each kernel position, row by row."""
  b, _, _, c = x.shape
  spans = [(n - 1) * stride + 1 for n in out]
  for i in range(size):
    for j in range(size):
      yield jax.lax.slice(
          x,
          (0, i, j, 0),
          (b, i + spans[0], j + spans[1], c),
          (1, stride, stride, 1),
      )


def dilate(
    x: Float[Array, 'b h w c'],
    stride: int,
    lows: Sequence[int],
    extents: Sequence[int],
) -> Float[Array, 'b h_ w_ c']:
  """Returns maps of `extents` pixels, 0 but for `x` at lows + i * stride.

  Pixels outside the result are cut off.
  """
  config = [
      (low, extent - low - ((n - 1) * stride + 1), stride - 1)
      for n, low, extent in zip(x.shape[1:3], lows, extents, strict=True)
  ]
  none = (0, 0, 0)
  return jax.lax.pad(x, jnp.zeros((), x.dtype), (none, *config, none))
