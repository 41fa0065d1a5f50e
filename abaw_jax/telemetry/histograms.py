"""Histograms of the weights and gradients of a model, counted on the devices."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np
import optax

# Weights and gradients have many orders of magnitude. So the bins are logarithmic,
# from 1e-7 to 10 and from -10 to -1e-7, the same for all parts and steps.
_PER_DECADE = 8
_LOWEST, _HIGHEST = -7, 1
_POSITIVE = np.logspace(
    _LOWEST, _HIGHEST, (_HIGHEST - _LOWEST) * _PER_DECADE + 1
)
EDGES = np.float32([*-_POSITIVE[::-1], *_POSITIVE])


class Histogram(NamedTuple):
  """The distribution of a set of numbers.

  Attributes:
    counts: numbers from `EDGES[i]` on and below `EDGES[i + 1]`; the first and the
      last bin also count the numbers outside.
    low: smallest number.
    high: largest number.
    total: sum.
    squares: sum of squares.
  """

  counts: Int[Array, 'n']
  low: Float[Array, '']
  high: Float[Array, '']
  total: Float[Array, '']
  squares: Float[Array, '']


def count_parts(params: Any, opt_state: Any) -> dict[str, Histogram]:
  """Returns a histogram of each part of a model; call it inside jit.

  The names are `weights/<part>` and, if the optimizer keeps a running mean of the
  gradients, `gradients/<part>`. It is the first moment of Adam: the mean over about
  1 / (1 - b1) updates, after clipping. A part that is not trained has none.

  Args:
    params: weights by part.
    opt_state: optax state.
  """
  found = {f'weights/{name}': count(part) for name, part in params.items()}
  for _, moments in optax.tree.get_all_with_path(opt_state, 'mu'):
    found |= {
        f'gradients/{name}': count(part)
        for name, part in moments.items()
        if jax.tree.leaves(part)
    }
  return found


def count(tree: Any) -> Histogram:
  """Returns the histogram of all numbers in a tree of arrays."""
  leaves = [jnp.float32(x) for x in jax.tree.leaves(tree)]
  # No leaf is reshaped: its devices count their own part of it.
  counts = jnp.zeros(EDGES.size - 1, jnp.int32)
  for leaf in leaves:
    counts = counts.at[_bins(leaf)].add(1)
  return Histogram(
      counts,
      jnp.min(jnp.stack([x.min() for x in leaves])),
      jnp.max(jnp.stack([x.max() for x in leaves])),
      sum(jnp.sum(x) for x in leaves),
      sum(jnp.sum(x**2) for x in leaves),
  )


def _bins(x: Float[Array, '*shape']) -> Int[Array, '*shape']:
  """Returns the bin of each number; the logarithm has rounding errors."""
  middle = _POSITIVE.size - 1  # the bin of 0
  size = jnp.floor(_PER_DECADE * (jnp.log10(jnp.abs(x)) - _LOWEST))
  size = jnp.int32(jnp.clip(size + 1, 0, middle))
  return jnp.where(x < 0, middle - size, middle + size)
