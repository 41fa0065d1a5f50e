"""Affine maps of images, resampled on the device."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def matrices(
    *,
    shear_x: Float[Array, '*b'],
    shear_y: Float[Array, '*b'],
    shift_x: Float[Array, '*b'],
    shift_y: Float[Array, '*b'],
    radians: Float[Array, '*b'],
    center: tuple[float, float],
) -> Float[Array, '*b 3 3']:
  """Returns maps from a position (x, y, 1) in the result to one in the image.

  A map is a rotation around `center` and a shear around (0, 0) with a shift.
  The shear applies first.

  Args:
    shear_x: pixels to the right per pixel down.
    shear_y: pixels down per pixel to the right.
    shift_x: pixels to the right.
    shift_y: pixels down.
    radians: clockwise angle.
    center: x and y of the centre of rotation.
  """
  x, y = center
  cos, sin = jnp.cos(radians), jnp.sin(radians)
  zero, one = jnp.zeros_like(radians), jnp.ones_like(radians)
  rotation = [
      [cos, -sin, x - cos * x + sin * y],
      [sin, cos, y - sin * x - cos * y],
      [zero, zero, one],
  ]
  shear = [
      [one, shear_x, shift_x],
      [shear_y, one, shift_y],
      [zero, zero, one],
  ]
  rotation, shear = (
      jnp.stack([jnp.stack(row, -1) for row in rows], -2)
      for rows in (rotation, shear)
  )
  return jnp.matmul(rotation, shear, precision='highest')


def warp(
    images: Float[Array, 'b h w c'], maps: Float[Array, 'b 3 3']
) -> Float[Array, 'b h w c']:
  """Returns warped images: bilinear, and black outside the input.

  A map takes a position (x, y, 1) in the result to a position in the image.
  """
  height, width = images.shape[1:3]
  y, x = jnp.meshgrid(
      jnp.arange(height, dtype=jnp.float32),
      jnp.arange(width, dtype=jnp.float32),
      indexing='ij',
  )
  positions = jnp.stack([x, y, jnp.ones_like(x)])  # [3, h, w]
  source = jnp.einsum('bij,jhw->bihw', maps, positions, precision='highest')
  padded = jnp.pad(images, ((0, 0), (1, 2), (1, 2), (0, 0)))
  x = jnp.clip(source[:, 0] + 1, 0.0, width + 1)
  y = jnp.clip(source[:, 1] + 1, 0.0, height + 1)
  return jax.vmap(_bilinear)(padded, y, x)


def _bilinear(
    image: Float[Array, 'h w c'],
    y: Float[Array, 'h_ w_'],
    x: Float[Array, 'h_ w_'],
) -> Float[Array, 'h_ w_ c']:
  top, left = jnp.floor(y), jnp.floor(x)
  down, right = (y - top)[..., None], (x - left)[..., None]
  top, left = top.astype(jnp.int32), left.astype(jnp.int32)
  upper = image[top, left] * (1 - right) + image[top, left + 1] * right
  lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
  return upper * (1 - down) + lower * down
