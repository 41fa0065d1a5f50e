"""Mixup: images are blended with their neighbours in the batch, losses likewise.

Reference: Zhang et al., arXiv 1710.09412.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Batch = Mapping[str, Array]
Loss = Callable[[Batch], tuple[Float[Array, ''], dict[str, Array]]]


def draw_share(key: Key[Array, ''], alpha: float) -> Float[Array, '']:
  """Returns how much of an image is its own, of the law Beta(alpha, alpha)."""
  return jax.random.beta(key, alpha, alpha)


def blend(
    images: Float[Array, 'b h w c'], share: Float[Array, '']
) -> Float[Array, 'b h w c']:
  """Returns `share` of each image and the rest of the one before it.

  The order of a batch is random: the neighbour is as good as any other image,
  and only the borders of the devices' parts are sent between them.
  """
  return share * images + (1.0 - share) * _before(images)


def blend_losses(
    loss: Loss, batch: Batch, share: Float[Array, '']
) -> tuple[Float[Array, ''], dict[str, Array]]:
  """Returns the losses against each one's labels and its neighbour's, blended.

  For a cross-entropy that is the loss against the blended labels. Masks travel
  with the labels: where only one of the two is labelled, it alone counts.

  Args:
    loss: from a batch, for its labels, to (loss, scalars).
    batch: as it was read.
    share: what `blend` was given.
  """
  own = loss(batch)
  other = loss({key: _before(value) for key, value in batch.items()})
  return jax.tree.map(lambda a, b: share * a + (1.0 - share) * b, own, other)


def _before(x: Array) -> Array:
  return jnp.roll(x, 1, axis=0)
