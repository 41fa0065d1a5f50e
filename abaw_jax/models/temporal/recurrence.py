"""A recurrence over time whose weight gradient is one matrix product."""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

State = tuple[Float[Array, 'b h'], ...]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def run(
    update: Callable[..., State],
    reverse: bool,
    inputs: Float[Array, 'b t g'],
    mask: Bool[Array, 'b t'],
    state: tuple[Float[Array, 'b h'], ...],
    kernel: Float[Array, 'h g'],
    bias: Float[Array, 'g'],
) -> tuple[Float[Array, 'b t h'], tuple[Float[Array, 'b h'], ...]]:
  """Returns (hidden state at every frame, state behind the last one).

  Autodiff would add up the gradient of `kernel` frame by frame, each time through
  a matrix of its size.

  Args:
    update: (input of a frame, projected hidden state, state) to the next state,
      whose first array is the hidden one.
    reverse: whether the last frame comes first.
    inputs: projected inputs of all frames.
    mask: False on frames that leave the state as it is.
    state: in front of the first frame.
    kernel: projects the hidden state.
    bias: is added to that projection.
  """
  return _run(update, reverse, inputs, None, mask, state, kernel, bias)


def _run(update, reverse, inputs, offsets, mask, state, kernel, bias):
  """Returns `run` with something added to the projected hidden states."""

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
  # The gradient of these zeros is that of every frame's recurrent projection.
  offsets = jnp.zeros_like(jnp.swapaxes(inputs, 0, 1))
  (hidden, last), pull = jax.vjp(
      lambda inputs, offsets, state: _run(
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
    before = jnp.concatenate([hidden[:, 1:], first], axis=1)
  else:
    before = jnp.concatenate([first, hidden[:, :-1]], axis=1)
  rows = jnp.swapaxes(before, 0, 1).reshape(-1, before.shape[-1])
  d_rows = d_recurrent.reshape(-1, d_recurrent.shape[-1])
  return d_inputs, None, d_state, rows.T @ d_rows, d_rows.sum(axis=0)


run.defvjp(_forward, _backward)
