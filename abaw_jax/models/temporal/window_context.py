"""The data that travels with the features of a window through a model."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class WindowContext(NamedTuple):
  """Everything about a batch of windows except the features.

  Attributes:
    mask: True on real frames.
    frame_id: frame numbers in the video; None if no positions need them.
    window_length: number of frames of each window, without the padding of the
      batch; None means all frames.
    truth: a batch with labels and masks, for feedback of labels in training;
      None means that only predictions are fed back.
    truth_rate: share of the frames whose true labels are fed back, in [0, 1].
  """

  mask: Bool[Array, 'b t']
  frame_id: Int[Array, 'b t'] | None = None
  window_length: Int[Array, 'b'] | None = None
  truth: Mapping[str, Array] | None = None
  truth_rate: float | Float[Array, ''] = 0.0

  @property
  def in_window(self) -> Bool[Array, 'b t']:
    """True on the frames of a window, also after the end of its video."""
    if self.window_length is None:
      return jnp.ones_like(self.mask)
    frames = jnp.arange(self.mask.shape[-1])[None]
    return frames < self.window_length[:, None]

  def readable(self, *, mask_padding: bool) -> Bool[Array, 'b t']:
    """Returns True on the frames that an encoder may read.

    Reference: AIM3-RUC has no padding mask. Without `mask_padding` every video
    is read up to the length of the longest video of the batch.
    """
    return self.mask if mask_padding else self.in_window
