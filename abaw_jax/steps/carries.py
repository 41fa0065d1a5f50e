"""The carry: hidden state that each row of a batch passes to the next batch."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree


def begin(
    carry: PyTree[Array], batch: Mapping[str, PyTree[Array]]
) -> PyTree[Array]:
  """Returns the carry, reset to 0 in the rows where a video starts.

  Args:
    carry: arrays with leading axis b, or {}.
    batch: `start` is True where the carry belongs to another video.
  """

  def reset(x):
    start = batch['start'].reshape(-1, *(1,) * (x.ndim - 1))
    return jnp.where(start, jnp.zeros_like(x), x)

  return jax.tree.map(reset, carry)


def rows(
    value: Int[Array, ''], batch: Mapping[str, PyTree[Array]]
) -> Int[Array, 'b']:
  """Returns a number repeated for every row of a batch."""
  size = jax.tree.leaves(batch)[0].shape[0]
  return jnp.broadcast_to(value, (size,))
