"""Mixup: blends each image, and its loss, with its neighbour in the batch.

Reference: Zhang et al., arXiv 1710.09412.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Batch = Mapping[str, Array]
Loss = Callable[[Batch], tuple[Float[Array, ''], dict[str, Array]]]


def draw_weight(key: Key[Array, ''], alpha: float) -> Float[Array, '']:
  """Returns the weight of an image's own pixels, from Beta(alpha, alpha)."""
  return jax.random.beta(key, alpha, alpha)


def blend(
    images: Float[Array, 'b h w c'], weight: Float[Array, '']
) -> Float[Array, 'b h w c']:
  """Returns weight * image + (1 - weight) * previous image, for each image.

  The order of a batch is random, so the previous image is as good as any other.
  Devices exchange only the images at the borders of their shards.
  """
  return weight * images + (1.0 - weight) * _previous(images)


def blend_losses(
    loss: Loss, batch: Batch, weight: Float[Array, '']
) -> tuple[Float[Array, ''], dict[str, Array]]:
  """Returns the losses on own and previous labels, blended with `weight`.

  For a cross-entropy this equals the loss on the blended labels. Masks move
  with the labels: an image without a label has no loss on it. `loss` maps the
  batch before mixup to (loss, scalars).
  """
  own = loss(batch)
  other = loss({key: _previous(value) for key, value in batch.items()})
  return jax.tree.map(lambda a, b: weight * a + (1.0 - weight) * b, own, other)


def _previous(x: Array) -> Array:
  return jnp.roll(x, 1, axis=0)
