"""Colour operations of torchvision, on the device.

Images are RGB in 0..255, before and after. Every image has its own factor.
Unlike in torchvision, intermediate results are not rounded.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

_LUMINANCE = (0.2989, 0.587, 0.114)

Images = Float[Array, 'b h w 3']
Numbers = Float[Array, 'b']


def grayscale(images: Images) -> Float[Array, 'b h w 1']:
  """Returns the luminance of each pixel."""
  # Explicit terms, because a sum over an innermost axis of 3 is slow.
  red, green, blue = _channels(images)
  return _LUMINANCE[0] * red + _LUMINANCE[1] * green + _LUMINANCE[2] * blue


def _channels(images: Images) -> list[Float[Array, 'b h w 1']]:
  return [images[..., i : i + 1] for i in range(3)]


def mean_gray(images: Images) -> Float[Array, 'b 1 1 1']:
  """Returns the mean luminance of each image."""
  return grayscale(jnp.mean(images, axis=(1, 2), keepdims=True))


def blend(images: Images, other: Float[Array, '*b'], factor: Numbers) -> Images:
  """Returns factor * images + (1 - factor) * other, clipped to 0..255.

  A factor of 1 gives the image; a factor above 1 extrapolates away from
  `other`.
  """
  factor = jnp.reshape(factor, (-1, 1, 1, 1))
  return jnp.clip(factor * images + (1.0 - factor) * other, 0.0, 255.0)


def adjust_brightness(images: Images, factor: Numbers) -> Images:
  """Returns the images blended with black."""
  return blend(images, jnp.zeros((1, 1, 1, 1)), factor)


def adjust_contrast(images: Images, factor: Numbers) -> Images:
  """Returns the images blended with their mean luminance."""
  return blend(images, mean_gray(images), factor)


def adjust_saturation(images: Images, factor: Numbers) -> Images:
  """Returns the images blended with their grayscale versions."""
  return blend(images, grayscale(images), factor)


def shift_hue(images: Images, turns: Numbers) -> Images:
  """Returns the images with their hue rotated by a number of full turns.

  Value and saturation of HSV do not change
  (https://en.wikipedia.org/wiki/HSL_and_HSV, 'HSV to RGB alternative').
  """
  red, green, blue = _channels(images)
  value = jnp.maximum(jnp.maximum(red, green), blue)
  chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
  scale = jnp.where(chroma > 0, chroma, 1.0)  # gray has no hue
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


_CHANGES = (adjust_brightness, adjust_contrast, adjust_saturation, shift_hue)
# Factors without effect.
_NEUTRAL = (1.0, 1.0, 1.0, 0.0)


def jitter(
    key: PRNGKeyArray, images: Images, strengths: Sequence[float]
) -> Images:
  """Returns the images with random brightness, contrast, saturation and hue.

  The distribution is that of torchvision's ColorJitter, except that all images
  of the batch have the same random order. So each operation runs once.

  With strength s the factor of brightness, contrast or saturation is uniform in
  [max(1 - s, 0), 1 + s], and the hue shift is uniform in [-s, s] turns. 0
  disables an operation.
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
