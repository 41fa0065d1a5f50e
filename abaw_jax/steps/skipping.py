"""Updates with NaN or Inf change nothing."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree
import optax


def skip_non_finite(
    optimizer: optax.GradientTransformation,
) -> optax.GradientTransformation:
  """Returns an optimizer that skips and counts updates with NaN or Inf.

  The same as `optax.apply_if_finite`, and the same state. That one computes the
  update inside `lax.cond`. XLA fuses nothing into a conditional, so every gradient
  would be written to memory in float32, and read again.
  """

  def init(params):
    return optax.ApplyIfFiniteState(
        notfinite_count=jnp.int32(0),
        last_finite=jnp.bool_(True),
        total_notfinite=jnp.int32(0),
        inner_state=optimizer.init(params),
    )

  def update(grads, state, params=None):
    finite = jnp.all(
        jnp.stack([jnp.all(jnp.isfinite(g)) for g in jax.tree.leaves(grads)])
    )
    updates, inner = optimizer.update(grads, state.inner_state, params)
    bad = jnp.int32(~finite)
    return where(finite, updates, jax.tree.map(jnp.zeros_like, updates)), (
        optax.ApplyIfFiniteState(
            notfinite_count=bad * (state.notfinite_count + 1),
            last_finite=finite,
            total_notfinite=state.total_notfinite + bad,
            inner_state=where(finite, inner, state.inner_state),
        )
    )

  return optax.GradientTransformation(init, update)


def where(condition: Bool[Array, ''], x: PyTree, y: PyTree) -> PyTree:
  """Returns the tree `x` if the scalar condition is True, else `y`."""
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), x, y)
