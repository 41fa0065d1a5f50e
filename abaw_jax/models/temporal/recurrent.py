"""Recurrent encoders: LSTM, bidirectional LSTM and GRU.

The equations and the weights are those of `torch.nn.LSTM` and `torch.nn.GRU`:
two bias vectors, the same order of gates, and in the GRU a reset gate after the
recurrent product.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PyTree

from abaw_jax.models.layers import dense, initializers
from abaw_jax.models.temporal import encoder, recurrent_vjp, window_context


class Cell(NamedTuple):
  """The definition of a recurrent cell."""

  gates: int  # width of a projection / width of the state
  states: int  # arrays in a state; the first is the hidden state
  # (projected input, projected hidden state, state) to the next state
  update: Callable[..., tuple[Array, ...]]


def lstm(
    x: Float[Array, 'b g'],
    recurrent: Float[Array, 'b g'],
    state: tuple[Float[Array, 'b h'], Float[Array, 'b h']],
) -> tuple[Float[Array, 'b h'], Float[Array, 'b h']]:
  """Returns the next (hidden, cell); gates: input, forget, cell, output."""
  i, f, g, o = jnp.split(x + recurrent, 4, axis=-1)
  cell = nn.sigmoid(f) * state[1] + nn.sigmoid(i) * jnp.tanh(g)
  return nn.sigmoid(o) * jnp.tanh(cell), cell


def gru(
    x: Float[Array, 'b g'],
    recurrent: Float[Array, 'b g'],
    state: tuple[Float[Array, 'b h']],
) -> tuple[Float[Array, 'b h']]:
  """Returns the next (hidden,); gates: reset, update, new."""
  x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
  h_r, h_z, h_n = jnp.split(recurrent, 3, axis=-1)
  update = nn.sigmoid(x_z + h_z)
  new = jnp.tanh(x_n + nn.sigmoid(x_r + h_r) * h_n)
  return ((1.0 - update) * new + update * state[0],)


CELLS = {'lstm': Cell(4, 2, lstm), 'gru': Cell(3, 1, gru)}


class RecurrentLayer(nn.Module):
  """One direction of one layer; masked frames do not change the state.

  Attributes:
    cell: a key of CELLS.
    dim: width of the state.
    reverse: whether to read the last frame first.
    dtype: compute dtype of the input projection; the rest is float32.
  """

  cell: str
  dim: int
  reverse: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b t d'],
      mask: Bool[Array, 'b t'],
      state: tuple[Float[Array, 'b h'], ...],
  ) -> tuple[Float[Array, 'b t h'], tuple[Float[Array, 'b h'], ...]]:
    """Returns (hidden state at every frame, final state)."""
    cell = CELLS[self.cell]
    initializer = initializers.uniform(self.dim)
    width = cell.gates * self.dim
    # One product for all gates of all frames; the scan does only the rest.
    inputs = nn.Dense(
        width,
        kernel_init=initializer,
        bias_init=initializer,
        dot_general=dense.dot_general,
        dtype=self.dtype,
        name='input',
    )(x)
    kernel = self.param('kernel', initializer, (self.dim, width), jnp.float32)
    bias = self.param('bias', initializer, (width,), jnp.float32)
    hidden, state = recurrent_vjp.scan(
        cell.update,
        self.reverse,
        inputs.astype(jnp.float32),
        mask,
        state,
        kernel,
        bias,
    )
    return hidden.astype(self.dtype), state


class RecurrentEncoder(encoder.Encoder):
  """A recurrent network with a carry from window to window.

  The carry holds the state of each layer after the last frame that it has read.

  Attributes:
    cell: a key of CELLS.
    dim: width of the state of each direction.
    depth: number of layers.
    dropout: rate after every layer, also after the last one.
    bidirectional: whether a second direction reads the last frame first; hidden
      states are then twice as wide.
    carry_backward: whether the second direction starts from its final state in
      the previous window, or from zero. Reference: AIM3-RUC carries this state,
      though it belongs to the first frame of the previous window.
    mask_padding: whether to skip frames after the end of a video.
    dtype: compute dtype of the input projections; the rest is float32.
  """

  cell: str
  dim: int
  depth: int = 1
  dropout: float = 0.0
  bidirectional: bool = False
  carry_backward: bool = False
  mask_padding: bool = True
  dtype: DTypeLike = jnp.float32

  @property
  def causal(self) -> bool:
    """Whether no hidden state depends on a later frame."""
    return not self.bidirectional

  def initial_carry(self, batch_size: int) -> PyTree[Array]:
    """Returns zeros for each layer."""
    names = [f'layers_{i}' for i in range(self.depth)]
    if self.bidirectional and self.carry_backward:
      names += [f'{name}_backward' for name in names]
    return {name: self._zeros(batch_size) for name in names}

  @nn.compact
  def __call__(
      self,
      features: Float[Array, 'b t f'],
      context: window_context.WindowContext,
      carry: PyTree[Float[Array, 'b ...']],
      *,
      train: bool,
  ) -> tuple[Float[Array, 'b t d'], PyTree[Float[Array, 'b ...']]]:
    """Returns (hidden states, carry), see `Encoder`."""
    x = features.astype(self.dtype)
    read = context.readable(mask_padding=self.mask_padding)
    suffixes = ('', '_backward') if self.bidirectional else ('',)
    new = {}
    for i in range(self.depth):
      directions = []
      for suffix in suffixes:
        name = f'layers_{i}{suffix}'
        layer = RecurrentLayer(
            self.cell, self.dim, bool(suffix), dtype=self.dtype, name=name
        )
        start = carry.get(name, self._zeros(x.shape[0]))
        hidden, new[name] = layer(x, read, start)
        directions.append(hidden)
      x = jnp.concatenate(directions, axis=-1)
      x = nn.Dropout(self.dropout)(x, deterministic=not train)
    return x, {name: new[name] for name in carry}

  # The batch size is no integer while a program with a dynamic one is exported.
  def _zeros(self, batch_size: Any) -> tuple[Float[Array, 'b h'], ...]:
    # Separate arrays, so that a step can donate them.
    return tuple(
        jnp.zeros((batch_size, self.dim), jnp.float32)
        for _ in range(CELLS[self.cell].states)
    )
