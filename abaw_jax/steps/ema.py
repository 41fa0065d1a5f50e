"""The moving average of weights."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree


def moved(
    average: PyTree[Float[Array, '...']],
    params: PyTree[Float[Array, '...']],
    step: Int[Array, ''],
    *,
    ema: float,
) -> PyTree[Float[Array, '...']]:
  """Returns the moving average of the weights after an update.

  The decay grows to `ema` as (1 + step) / (10 + step), so that an average does
  not remember for long where it started.
  """
  share = 1.0 - jnp.minimum(ema, (1.0 + step) / (10.0 + step))
  # In this form weights that do not move are their own average, to the bit.
  return jax.tree.map(
      lambda old, new: old + share * (new - old), average, params
  )
