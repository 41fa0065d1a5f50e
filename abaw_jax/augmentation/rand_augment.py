"""RandAugment on the device (Cubuk et al., arXiv 1909.13719).

Each image gets its own operations, with torchvision's operations and ranges.
Only Equalize is missing, because histograms are slow on accelerators. A
compiled step cannot branch per image. So one resampling applies the product of
the geometric operations, and then all colour operations are computed and the
sampled one is kept: the cost depends only on `count`. torchvision resamples
after each operation with the nearest pixel; here resampling is bilinear. Pixels
outside the image are black.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from abaw_jax.augmentation import colors, warp

MAX_MAGNITUDE = 30

OPERATIONS = (
    'identity', 'shear_x', 'shear_y', 'translate_x', 'translate_y', 'rotate',
    'brightness', 'saturation', 'contrast', 'sharpness', 'posterize',
    'solarize', 'autocontrast',
)  # fmt: skip
# Effect of the maximum magnitude, in both directions: shear, shift / side of
# the image, rotation in degrees, and colour factor - 1.
SHEAR, SHIFT, DEGREES, FACTOR = 0.3, 150 / 331, 30.0, 0.9

Images = Float[Array, 'b h w 3']
Drawn = Int[Array, 'b']  # index into OPERATIONS
Strength = Float[Array, 'b']  # strength of the operation, in [-1, 1]


def rand_augment(
    key: PRNGKeyArray, images: Images, *, count: int, magnitude: int
) -> Images:
  """Returns the images in 0..255 after `count` random operations each.

  An operation may repeat. `magnitude` is 0 to MAX_MAGNITUDE for all images.
  """
  drawn, strength = draw(key, images.shape[0], count, magnitude=magnitude)
  images = warp.warp(images, matrices(drawn, strength, images.shape[1:3]))

  def step(images, operation):
    return recolor(images, *operation, magnitude=magnitude), None

  # In a scan, because XLA would recompute an operation for each of its uses.
  return jax.lax.scan(step, images, (drawn, strength))[0]


def draw(
    key: PRNGKeyArray, num_images: int, count: int, *, magnitude: int
) -> tuple[
    Int[Array, '{count} {num_images}'], Float[Array, '{count} {num_images}']
]:
  """Returns uniformly random operations, and strengths with random signs."""
  draw_key, sign_key = jax.random.split(key)
  shape = (count, num_images)
  drawn = jax.random.randint(draw_key, shape, 0, len(OPERATIONS))
  sign = jnp.where(jax.random.bernoulli(sign_key, 0.5, shape), 1.0, -1.0)
  return drawn, sign * (magnitude / MAX_MAGNITUDE)


def recolor(
    images: Images, drawn: Drawn, strength: Strength, *, magnitude: int
) -> Images:
  """Returns the images after colour operations; others do not change them.

  `strength` is for operations with a direction, `magnitude` for the others.
  """

  def is_drawn(name):
    return (drawn == OPERATIONS.index(name)).reshape(-1, 1, 1, 1)

  other = jnp.where(
      is_drawn('saturation'), colors.grayscale(images), blur(images)
  )
  other = jnp.where(is_drawn('contrast'), colors.mean_gray(images), other)
  other = jnp.where(is_drawn('brightness'), 0.0, other)
  blended = is_drawn('brightness') | is_drawn('saturation')
  blended |= is_drawn('contrast') | is_drawn('sharpness')
  factor = jnp.where(blended.reshape(-1), 1.0 + FACTOR * strength, 1.0)
  images = colors.blend(images, other, factor)
  step = 2.0 ** round(magnitude / (MAX_MAGNITUDE / 4))
  images = jnp.where(
      is_drawn('posterize'), jnp.floor(images / step) * step, images
  )
  threshold = 255.0 * (1 - magnitude / MAX_MAGNITUDE)
  images = jnp.where(
      is_drawn('solarize') & (images >= threshold), 255.0 - images, images
  )
  return jnp.where(is_drawn('autocontrast'), autocontrast(images), images)


def blur(images: Images) -> Images:
  """Returns the 3 x 3 mean with weight 5 for the centre and 1 for neighbours.

  Border pixels do not change.
  """
  inner = jax.lax.reduce_window(
      images, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), 'VALID'
  )
  inner = (inner + 4.0 * images[:, 1:-1, 1:-1]) / 13.0
  return images.at[:, 1:-1, 1:-1].set(inner)


def autocontrast(images: Images) -> Images:
  """Returns images with each channel scaled to 0..255; constant ones stay."""
  low = jnp.min(images, axis=(1, 2), keepdims=True)
  high = jnp.max(images, axis=(1, 2), keepdims=True)
  flat = high <= low
  scale = 255.0 / jnp.where(flat, 1.0, high - low)
  return jnp.where(flat, images, (images - low) * scale)


def matrices(
    drawn: Int[Array, 'n b'],
    strength: Float[Array, 'n b'],
    size: tuple[int, int],
) -> Float[Array, 'b 3 3']:
  """Returns the product of the geometric operations on each image.

  A matrix maps a position (x, y, 1) in the result to a position in the image.
  """

  def number(name, maximum):
    return jnp.where(drawn == OPERATIONS.index(name), maximum * strength, 0.0)

  height, width = size
  parts = warp.matrices(
      shear_x=number('shear_x', SHEAR),
      shear_y=number('shear_y', SHEAR),
      shift_x=number('translate_x', SHIFT * width),
      shift_y=number('translate_y', SHIFT * height),
      radians=jnp.deg2rad(number('rotate', DEGREES)),
      center=((width - 1) / 2, (height - 1) / 2),
  )
  product = parts[0]
  for part in parts[1:]:
    # The inverse of the last operation applies first.
    product = jnp.einsum('bij,bjk->bik', product, part, precision='highest')
  return product
