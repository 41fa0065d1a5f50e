"""The interface of temporal encoders, from features of frames to hidden states."""

from flax import linen as nn
from jaxtyping import Array, Float, PyTree

from abaw_jax.models.temporal import window_context


class Encoder(nn.Module):
  """The encoder 'none', and the base of the others: it returns the features.

  `causal` is True if no hidden state depends on a later frame.
  """

  causal = True

  def initial_carry(self, batch_size: int) -> PyTree[Array]:
    """Returns the carry of the first windows of videos; {} if there is none."""
    del batch_size
    return {}

  def __call__(
      self,
      features: Float[Array, 'b t f'],
      context: window_context.WindowContext,
      carry: PyTree[Float[Array, 'b ...']],
      *,
      train: bool,
  ) -> tuple[Float[Array, 'b t d'], PyTree[Float[Array, 'b ...']]]:
    """Returns (hidden states, carry); hidden states of padding are undefined.

    Args:
      features: one vector per frame; the real frames of a window come first.
      context: its `window_length` is used only without `mask_padding`.
      carry: carry of the previous window, or of `initial_carry`.
      train: whether dropout is active.
    """
    return self.encode(features, context, train), carry

  def encode(
      self, features: Array, context: window_context.WindowContext, train: bool
  ) -> Float[Array, 'b t d']:
    """Returns the hidden states; for encoders without a carry."""
    del context, train
    return features
