"""RandAugment on the device (Cubuk et al., arXiv 1909.13719).

Each image has operations of its own, out of torchvision's with torchvision's
ranges; all but Equalize, whose histograms accelerators are slow at. What is
drawn must not decide what is computed, so an image is resampled once, by the
product of its geometric operations, and then every operation on colours is
computed for it, of which the drawn one is kept: the cost depends on `count`, not
on what is drawn. With a nearest pixel torchvision resamples after each; here it
is bilinear, and what comes from outside is black in both.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from abaw_jax.augmentation import colors, warp

STRONGEST = 30

OPERATIONS = (
    'identity',
    'shear_x',
    'shear_y',
    'translate_x',
    'translate_y',
    'rotate',
    'brightness',
    'saturation',
    'contrast',
    'sharpness',
    'posterize',
    'solarize',
    'autocontrast',
)
# What the strongest magnitude does, in both directions; that of rotations is in
# degrees, that of translations a share of the width, of colours a factor - 1.
SHEAR, SHIFT, DEGREES, FACTOR = 0.3, 150 / 331, 30.0, 0.9

Images = Float[Array, 'b h w 3']
Drawn = Int[Array, 'b']  # index into OPERATIONS
Strength = Float[Array, 'b']  # of the operation, in [-1, 1]


def rand_augment(
    key: PRNGKeyArray, images: Images, *, count: int, magnitude: int
) -> Images:
  """Returns the images, each after `count` random operations.

  Args:
    key: decides which, and in which direction.
    images: RGB in 0..255.
    count: operations on each image; one may be drawn several times.
    magnitude: 0 to STRONGEST, the same for all.
  """
  drawn, strength = draw(key, images.shape[0], count, magnitude=magnitude)
  images = warp.warp(images, matrices(drawn, strength, images.shape[1:3]))

  def step(images, operation):
    return recolor(images, *operation, magnitude=magnitude), None

  # As a loop: XLA would compute one operation anew for each use in the next.
  return jax.lax.scan(step, images, (drawn, strength))[0]


def draw(
    key: PRNGKeyArray, num_images: int, count: int, *, magnitude: int
) -> tuple[
    Int[Array, '{count} {num_images}'], Float[Array, '{count} {num_images}']
]:
  """Returns operations, all equally likely, and strengths in either direction."""
  draw_key, sign_key = jax.random.split(key)
  shape = (count, num_images)
  drawn = jax.random.randint(draw_key, shape, 0, len(OPERATIONS))
  sign = jnp.where(jax.random.bernoulli(sign_key, 0.5, shape), 1.0, -1.0)
  return drawn, sign * (magnitude / STRONGEST)


def recolor(
    images: Images, drawn: Drawn, strength: Strength, *, magnitude: int
) -> Images:
  """Returns the images after operations on colours; others leave them alone.

  Args:
    images: RGB in 0..255.
    drawn: the operation on each image.
    strength: of operations that have a direction.
    magnitude: of those that have none.
  """

  def is_(name):
    return (drawn == OPERATIONS.index(name)).reshape(-1, 1, 1, 1)

  other = jnp.where(is_('saturation'), colors.grey(images), smooth(images))
  other = jnp.where(is_('contrast'), colors.mean_grey(images), other)
  other = jnp.where(is_('brightness'), 0.0, other)
  blended = is_('brightness') | is_('saturation')
  blended |= is_('contrast') | is_('sharpness')
  factor = jnp.where(blended.reshape(-1), 1.0 + FACTOR * strength, 1.0)
  images = colors.blend(images, other, factor)
  step = 2.0 ** round(magnitude / (STRONGEST / 4))
  images = jnp.where(is_('posterize'), jnp.floor(images / step) * step, images)
  threshold = 255.0 * (1 - magnitude / STRONGEST)
  images = jnp.where(
      is_('solarize') & (images >= threshold), 255.0 - images, images
  )
  return jnp.where(is_('autocontrast'), stretch(images), images)


def smooth(images: Images) -> Images:
  """Returns each pixel's mean with its neighbours, itself 5 times in 13.

  The outermost pixels stay as they are.
  """
  inner = jax.lax.reduce_window(
      images, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), 'VALID'
  )
  inner = (inner + 4.0 * images[:, 1:-1, 1:-1]) / 13.0
  return images.at[:, 1:-1, 1:-1].set(inner)


def stretch(images: Images) -> Images:
  """Returns the images with every channel from 0 to 255; flat ones stay."""
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

  It takes a place (x, y, 1) in the result to one in the image.
  """

  def number(name, most):
    return jnp.where(drawn == OPERATIONS.index(name), most * strength, 0.0)

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
    # What is done last to the image is undone first.
    product = jnp.einsum('bij,bjk->bik', product, part, precision='highest')
  return product
