"""A scan over time with a custom VJP: one product per weight gradient."""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

State = tuple[Float[Array, 'b h'], ...]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def scan(
    update: Callable[..., State],
    reverse: bool,
    inputs: Float[Array, 'b t g'],
    mask: Bool[Array, 'b t'],
    state: tuple[Float[Array, 'b h'], ...],
    kernel: Float[Array, 'h g'],
    bias: Float[Array, 'g'],
) -> tuple[Float[Array, 'b t h'], tuple[Float[Array, 'b h'], ...]]:
  """Returns (hidden state at every frame, final state).

  Autodiff would add a matrix of the size of `kernel` to its gradient at every
  frame.

  Args:
    update: see `recurrent.Cell`.
    reverse: whether to read the last frame first.
    inputs: projected inputs of all frames.
    mask: False on frames that do not change the state.
    state: initial state; the hidden state is its first array.
    kernel: kernel of the projection of the hidden state.
    bias: bias of that projection.
  """
  return _scan(update, reverse, inputs, None, mask, state, kernel, bias)


def _scan(update, reverse, inputs, offsets, mask, state, kernel, bias):
  """Returns `scan` with `offsets` added to the projected hidden states."""

  def step(state, frame):
    x, offset, keep = frame
    recurrent = state[0] @ kernel + bias[None]
    if offset is not None:
      recurrent = recurrent + offset
    new = update(x, recurrent, state)
    state = tuple(
        jnp.where(keep[:, None], a, b) for a, b in zip(new, state, strict=True)
    )
    return state, state[0]

  frames = jnp.swapaxes(inputs, 0, 1), offsets, mask.T
  state, hidden = jax.lax.scan(step, state, frames, reverse=reverse)
  return jnp.swapaxes(hidden, 0, 1), state


def _forward(update, reverse, inputs, mask, state, kernel, bias):
  # The gradient of these zeros is the gradient of each recurrent projection.
  offsets = jnp.zeros_like(jnp.swapaxes(inputs, 0, 1))
  (hidden, last), pull = jax.vjp(
      lambda inputs, offsets, state: _scan(
          update, reverse, inputs, offsets, mask, state, kernel, bias
      ),
      inputs,
      offsets,
      state,
  )
  return (hidden, last), (pull, hidden, state[0])


def _backward(update, reverse, residuals, g):
  del update
  pull, hidden, first = residuals
  d_inputs, d_recurrent, d_state = pull(g)
  first = first[:, None]
  if reverse:
    previous = jnp.concatenate([hidden[:, 1:], first], axis=1)
  else:
    previous = jnp.concatenate([first, hidden[:, :-1]], axis=1)
  rows = jnp.swapaxes(previous, 0, 1).reshape(-1, previous.shape[-1])
  d_rows = d_recurrent.reshape(-1, d_recurrent.shape[-1])
  return d_inputs, None, d_state, rows.T @ d_rows, d_rows.sum(axis=0)


scan.defvjp(_forward, _backward)
