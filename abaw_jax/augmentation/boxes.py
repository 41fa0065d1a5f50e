"""Random boxes in images."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

_TRIES = 10


def random_boxes(
    key: PRNGKeyArray,
    *,
    count: int,
    height: int,
    width: int,
    scale: tuple[float, float] = (0.2, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Float[Array, '{count} 4']:
  """Returns boxes as top, left, height and width in full pixels.

  The distribution is that of torchvision's RandomResizedCrop: box area / image
  area is uniform in `scale`, and the logarithm of width / height is uniform in
  `ratio`. A box is the first of ten samples that fits into the image. If none
  fits, it is the largest central box with an allowed aspect ratio.
  """
  shape_key, place_key = jax.random.split(key)
  draws = jax.random.uniform(shape_key, (count, _TRIES, 2))
  area = scale[0] + (scale[1] - scale[0]) * draws[..., 0]
  low, high = math.log(ratio[0]), math.log(ratio[1])
  aspect = jnp.exp(low + (high - low) * draws[..., 1])
  area *= height * width
  extents = jnp.stack([jnp.sqrt(area / aspect), jnp.sqrt(area * aspect)], -1)
  extents = jnp.round(extents)  # [count, tries, 2]: height, width
  limits = jnp.array([height, width], jnp.float32)
  fits = jnp.all((extents >= 1) & (extents <= limits[None, None]), axis=-1)
  first = jnp.argmax(fits, axis=-1)
  chosen = jnp.take_along_axis(extents, first[:, None, None], axis=1)[:, 0]
  fallback = jnp.array(_largest_box(height, width, ratio), jnp.float32)
  fitted = jnp.any(fits, axis=-1)[:, None]
  extent = jnp.where(fitted, chosen, fallback[None])
  room = limits[None] - extent
  places = jax.random.uniform(place_key, (count, 2))
  corner = jnp.where(
      fitted, jnp.floor(places * (room + 1)), jnp.floor(room / 2)
  )
  # Scaling may round a uniform sample up to 1.
  return jnp.concatenate([jnp.minimum(corner, room), extent], axis=-1)


def _largest_box(
    height: int, width: int, ratio: tuple[float, float]
) -> tuple[int, int]:
  """Returns (height, width) of the largest box with an allowed ratio."""
  if width / height < ratio[0]:
    return round(width / ratio[0]), width
  if width / height > ratio[1]:
    return height, round(height * ratio[1])
  return height, width
