"""Which frames of a window an encoder may read."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def within(
    mask: Bool[Array, 'b t'], window_length: Int[Array, 'b'] | None
) -> Bool[Array, 'b t']:
  """Returns True on the frames of a window, those behind a video's end included.

  Args:
    mask: True on real frames; only its shape counts.
    window_length: frames of the window; None means all.
  """
  if window_length is None:
    return jnp.ones_like(mask)
  return jnp.arange(mask.shape[-1])[None] < window_length[:, None]


def readable(
    mask: Bool[Array, 'b t'],
    window_length: Int[Array, 'b'] | None,
    *,
    mask_padding: bool,
) -> Bool[Array, 'b t']:
  """Returns True on the frames that may be read.

  Reference: AIM3-RUC, no padding mask: without `mask_padding` the frames of the
  longest video of a batch are read in every other one too.
  """
  return mask if mask_padding else within(mask, window_length)
