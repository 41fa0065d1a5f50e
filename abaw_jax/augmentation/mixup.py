"""Mixed images: each one with its neighbour in the batch, and so their losses.

References: mixup (Zhang et al., arXiv 1710.09412), CutMix (Yun et al., arXiv
1905.04899) and MixAugment (Psaroudakis and Kollias, arXiv 2205.04442).
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Batch = Mapping[str, Array]
Loss = Callable[[Batch], tuple[Float[Array, ''], dict[str, Array]]]

METHODS = ('mixup', 'cutmix', 'mixaugment')


def mix(
    key: Key[Array, ''],
    images: Float[Array, 'b h w c'],
    *,
    method: str,
    alpha: float,
) -> tuple[Float[Array, 'n h w c'], Float[Array, '']]:
  """Returns images to train on, and the share of an image's own pixels in a mix.

  Args:
    key: of the share and the box; both are the same for all images.
    images: normalised images.
    method: one of METHODS. 'mixaugment' returns the images and their mixes, n = 2b:
      each image is followed by its mix.
    alpha: parameter of the Beta distribution of the share.
  """
  if method == 'cutmix':
    return paste(key, images, alpha)
  share = draw_weight(key, alpha)
  mixed = blend(images, share)
  if method == 'mixaugment':
    # Pairs, so that no image moves to another device.
    mixed = jnp.stack([images, mixed], axis=1).reshape(-1, *images.shape[1:])
  return mixed, share


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


def paste(
    key: Key[Array, ''], images: Float[Array, 'b h w c'], alpha: float
) -> tuple[Float[Array, 'b h w c'], Float[Array, '']]:
  """Returns images with a box of the previous image, and the share of own pixels.

  The area of the box / area of the image has a Beta distribution, and its centre is
  uniform. The box is cut at the borders; the share counts the pixels that are left.
  """
  weight_key, place_key = jax.random.split(key)
  sides = jnp.array(images.shape[1:3])
  ratio = jnp.sqrt(1.0 - draw_weight(weight_key, alpha))
  half = jnp.floor(sides * ratio).astype(jnp.int32) // 2
  centre = jax.random.randint(place_key, (2,), 0, sides)
  first = jnp.maximum(centre - half, 0)
  last = jnp.minimum(centre + half, sides)
  rows, columns = (
      (jnp.arange(side) >= first[i]) & (jnp.arange(side) < last[i])
      for i, side in enumerate(images.shape[1:3])
  )
  inside = rows[None, :, None, None] & columns[None, None, :, None]
  share = 1.0 - jnp.prod((last - first) / sides)
  return jnp.where(inside, _previous(images), images), share


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
