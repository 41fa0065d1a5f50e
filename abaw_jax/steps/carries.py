"""What goes from the rows of a batch to those of the next."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree


def begin(
    carry: PyTree[Array], batch: Mapping[str, PyTree[Array]]
) -> PyTree[Array]:
  """Returns the carry with 0 in the rows where a video begins.

  Args:
    carry: arrays with leading axis b, or {}.
    batch: `start` is True where what was carried belongs to another video.
  """

  def reset(x):
    start = batch['start'].reshape(-1, *(1,) * (x.ndim - 1))
    return jnp.where(start, jnp.zeros_like(x), x)

  return jax.tree.map(reset, carry)


def rows(
    value: Int[Array, ''], batch: Mapping[str, PyTree[Array]]
) -> Int[Array, 'b']:
  """Returns a number once for each row of a batch."""
  size = jax.tree.leaves(batch)[0].shape[0]
  return jnp.broadcast_to(value, (size,))
