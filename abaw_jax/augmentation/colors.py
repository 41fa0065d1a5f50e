"""Colours of images, changed on the device by torchvision's definitions.

Images are RGB in 0..255 and stay there; what is done to an image is decided by a
number of its own. Other than torchvision's, nothing is rounded on the way.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

_GREY = (0.2989, 0.587, 0.114)

Images = Float[Array, 'b h w 3']
Numbers = Float[Array, 'b']


def grey(images: Images) -> Float[Array, 'b h w 1']:
  """Returns how bright each pixel is."""
  # Sums over three channels are slow where they are the innermost axis.
  red, green, blue = _channels(images)
  return _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue


def _channels(images: Images) -> list[Float[Array, 'b h w 1']]:
  return [images[..., i : i + 1] for i in range(3)]


def mean_grey(images: Images) -> Float[Array, 'b 1 1 1']:
  """Returns how bright each image is."""
  return grey(jnp.mean(images, axis=(1, 2), keepdims=True))


def blend(images: Images, other: Float[Array, '*b'], factor: Numbers) -> Images:
  """Returns `factor` of each image and the rest of `other`, clipped.

  A factor of 1 gives the image itself, more than 1 goes away from `other`.
  """
  factor = jnp.reshape(factor, (-1, 1, 1, 1))
  return jnp.clip(factor * images + (1.0 - factor) * other, 0.0, 255.0)


def change_brightness(images: Images, factor: Numbers) -> Images:
  """Returns the images blended with black."""
  return blend(images, jnp.zeros((1, 1, 1, 1)), factor)


def change_contrast(images: Images, factor: Numbers) -> Images:
  """Returns the images blended with their mean grey."""
  return blend(images, mean_grey(images), factor)


def change_saturation(images: Images, factor: Numbers) -> Images:
  """Returns the images blended with themselves in grey."""
  return blend(images, grey(images), factor)


def turn_hue(images: Images, turns: Numbers) -> Images:
  """Returns the images with their hue turned by so many full circles.

  Value and saturation of HSV stay (https://en.wikipedia.org/wiki/HSL_and_HSV,
  'HSV to RGB alternative').
  """
  red, green, blue = _channels(images)
  value = jnp.maximum(jnp.maximum(red, green), blue)
  chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
  scale = jnp.where(chroma > 0, chroma, 1.0)  # grey has no hue
  sixths = jnp.where(
      value == red,
      (green - blue) / scale,
      jnp.where(
          value == green, 2 + (blue - red) / scale, 4 + (red - green) / scale
      ),
  )
  sixths += 6 * jnp.reshape(turns, (-1, 1, 1, 1))
  starts = jnp.reshape(jnp.float32([5, 3, 1]), (1, 1, 1, 3))
  place = starts + sixths
  place -= 6 * jnp.floor(place / 6)  # faster than %
  share = jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
  return value - chroma * share


_CHANGES = (change_brightness, change_contrast, change_saturation, turn_hue)
# What each does nothing with.
_NEUTRAL = (1.0, 1.0, 1.0, 0.0)


def jitter(
    key: PRNGKeyArray, images: Images, strengths: Sequence[float]
) -> Images:
  """Returns the images with random brightness, contrast, saturation and hue.

  The law of torchvision's ColorJitter, but the order, which is random there for
  each image, is random here for the batch: so each change is computed once.

  Args:
    key: decides.
    images: RGB in 0..255.
    strengths: of the four; s draws factors uniformly from 1 - s (but not below
      0) to 1 + s, and the hue is turned by -s to s circles. 0 leaves it out.
  """
  order_key, *keys = jax.random.split(key, 1 + len(_CHANGES))
  changes = []
  for change, neutral, strength, key in zip(
      _CHANGES, _NEUTRAL, strengths, keys, strict=True
  ):
    if strength:
      least = max(neutral - strength, 0.0) if neutral else -strength
      numbers = jax.random.uniform(
          key,
          images.shape[:1],
          minval=least,
          maxval=neutral + strength,
      )
      changes.append(lambda x, change=change, n=numbers: change(x, n))
  order = jax.random.permutation(order_key, len(changes))

  def step(images, place):
    return jax.lax.switch(place, changes, images), None

  return jax.lax.scan(step, images, order)[0]
