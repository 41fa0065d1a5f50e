"""Exponential moving average (EMA) of weights."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree


def update(
    average: PyTree[Float[Array, '...']],
    params: PyTree[Float[Array, '...']],
    step: Int[Array, ''],
    *,
    ema: float,
) -> PyTree[Float[Array, '...']]:
  """Returns the EMA of the weights after an update.

  The decay grows to `ema` as (1 + step) / (10 + step), so that the EMA forgets
  the initial weights early.
  """
  share = 1.0 - jnp.minimum(ema, (1.0 + step) / (10.0 + step))
  # In this form, the EMA of constant weights equals them bit for bit.
  return jax.tree.map(
      lambda old, new: old + share * (new - old), average, params
  )
