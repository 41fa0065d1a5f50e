"""Recurrent encoders: LSTM, bidirectional LSTM and GRU.

The forms and the weights of `torch.nn.LSTM` and `torch.nn.GRU`: two bias vectors,
gates in the same order, and in the GRU a reset gate behind the recurrent product.
"""

from collections.abc import Callable
from typing import NamedTuple

from flax import linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PyTree

from abaw_jax.cpu import dense_vjp
from abaw_jax.models.layers import initializers
from abaw_jax.models.temporal import masks, recurrence


class Cell(NamedTuple):
  """What tells one recurrent network from another.

  Attributes:
    gates: vectors as wide as the state that the projections make.
    states: arrays of the state, the hidden one first.
    update: (projected input, projected hidden state, state) to the next state.
  """

  gates: int
  states: int
  update: Callable[..., tuple[Array, ...]]


def lstm(
    x: Float[Array, 'b g'],
    recurrent: Float[Array, 'b g'],
    state: tuple[Float[Array, 'b h'], Float[Array, 'b h']],
) -> tuple[Float[Array, 'b h'], Float[Array, 'b h']]:
  """Returns the next (hidden, cell); gates are input, forget, cell, output."""
  i, f, g, o = jnp.split(x + recurrent, 4, axis=-1)
  cell = nn.sigmoid(f) * state[1] + nn.sigmoid(i) * jnp.tanh(g)
  return nn.sigmoid(o) * jnp.tanh(cell), cell


def gru(
    x: Float[Array, 'b g'],
    recurrent: Float[Array, 'b g'],
    state: tuple[Float[Array, 'b h']],
) -> tuple[Float[Array, 'b h']]:
  """Returns the next (hidden,); gates are reset, update, new."""
  x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
  h_r, h_z, h_n = jnp.split(recurrent, 3, axis=-1)
  update = nn.sigmoid(x_z + h_z)
  new = jnp.tanh(x_n + nn.sigmoid(x_r + h_r) * h_n)
  return ((1.0 - update) * new + update * state[0],)


CELLS = {'lstm': Cell(4, 2, lstm), 'gru': Cell(3, 1, gru)}


class RecurrentLayer(nn.Module):
  """One direction of one layer; the state stands still where the mask is False.

  Attributes:
    cell: a key of CELLS.
    dim: width of the state.
    reverse: whether the last frame is read first.
    dtype: compute dtype of the projection of the input; the rest is float32.
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
    """Returns (hidden state at every frame, state behind the last one read)."""
    cell = CELLS[self.cell]
    law = initializers.uniform(self.dim)
    width = cell.gates * self.dim
    # All gates of all frames in one product; only what is recurrent waits.
    inputs = nn.Dense(
        width,
        kernel_init=law,
        bias_init=law,
        dot_general=dense_vjp.dense,
        dtype=self.dtype,
        name='input',
    )(x)
    kernel = self.param('kernel', law, (self.dim, width), jnp.float32)
    bias = self.param('bias', law, (width,), jnp.float32)
    hidden, state = recurrence.run(
        cell.update,
        self.reverse,
        inputs.astype(jnp.float32),
        mask,
        state,
        kernel,
        bias,
    )
    return hidden.astype(self.dtype), state


class RecurrentEncoder(nn.Module):
  """Layers of a recurrent network, with a carry from window to window.

  The carry holds the state of each layer behind the last frame that it has read.

  Attributes:
    cell: a key of CELLS.
    dim: width of the state of each direction.
    depth: number of layers.
    dropout: rate behind every layer, the last one included.
    bidirectional: whether a second direction reads the last frame first; hidden
      states are then twice as wide.
    carry_backward: whether the second direction starts from where it ended in
      the window before, or from zero. Reference: AIM3-RUC, it starts behind the
      last frame of a window from its state at the first frame of the one before.
    mask_padding: whether frames behind a video's end are not read.
    dtype: compute dtype of the projections of the input; the rest is float32.
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
    """Returns the carry of windows that begin a video."""
    names = [f'layers_{i}' for i in range(self.depth)]
    if self.bidirectional and self.carry_backward:
      names += [f'{name}_backward' for name in names]
    return {name: self._zeros(batch_size) for name in names}

  @nn.compact
  def __call__(
      self,
      features: Float[Array, 'b t f'],
      mask: Bool[Array, 'b t'],
      carry: PyTree[Float[Array, 'b ...']],
      *,
      train: bool,
      frame_id: Int[Array, 'b t'] | None = None,
      window_length: Int[Array, 'b'] | None = None,
  ) -> tuple[Float[Array, 'b t d'], PyTree[Float[Array, 'b ...']]]:
    """Returns (hidden states, carry); rows where `mask` is False are undefined.

    Args:
      features: one vector per frame.
      mask: True on real frames, which come first.
      carry: state behind the window before, as this or `initial_carry` gave it.
      train: whether dropout is drawn.
      frame_id: is not used.
      window_length: frames of the window; None means all. Counts only without
        `mask_padding`.
    """
    del frame_id
    x = features.astype(self.dtype)
    read = masks.readable(mask, window_length, mask_padding=self.mask_padding)
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

  def _zeros(self, batch_size: int) -> tuple[Float[Array, 'b h'], ...]:
    # Arrays of their own, so that a step can consume them.
    return tuple(
        jnp.zeros((batch_size, self.dim), jnp.float32)
        for _ in range(CELLS[self.cell].states)
    )
