"""Gaussian and Poisson noise of Real-ESRGAN (Wang et al., arXiv 2107.10833).

Images are in 0..1 and lie on a canvas, see `canvas.py`. Grey noise is equal in all
channels.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

_LUMINANCE = (0.2989, 0.587, 0.114)

Image = Float[Array, 'n n 3']


def gaussian(
    key: PRNGKeyArray,
    image: Image,
    *,
    sigma: Float[Array, ''],
    is_grey: Bool[Array, ''],
) -> Image:
  """Returns Gaussian noise to add.

  Args:
    key: of the draws.
    image: gives the shape.
    sigma: standard deviation, in units of 1 / 255.
    is_grey: whether all channels have the same noise.
  """
  noise = jax.random.normal(key, image.shape)
  return _same(noise, is_grey) * (sigma / 255)


def poisson(
    key: PRNGKeyArray,
    image: Image,
    *,
    scale: Float[Array, ''],
    is_grey: Bool[Array, ''],
    length: Int[Array, ''] | int,
) -> Image:
  """Returns Poisson noise to add.

  A pixel of value x becomes a Poisson variable with mean n x, divided by n. Here n
  is the number of different values in the image after rounding to 8 bits, rounded
  up to a power of 2.

  Args:
    key: of the draws.
    image: pixels in 0..1.
    scale: factor of the noise.
    is_grey: whether all channels have the noise of the luminance.
    length: side of the image.
  """
  grey = sum(w * image[..., i] for i, w in enumerate(_LUMINANCE))
  clean = jnp.where(is_grey, grey[..., None], image)
  levels = jnp.round(jnp.clip(clean, 0.0, 1.0) * 255)
  steps = 2.0 ** jnp.ceil(jnp.log2(distinct(levels, length)))
  clean = levels / 255
  noise = jax.random.poisson(key, clean * steps) / steps - clean
  return _same(noise, is_grey) * scale


def distinct(
    levels: Float[Array, 'n n c'], length: Int[Array, ''] | int
) -> Float[Array, '']:
  """Returns how many of the values 0 to 255 an image of this side has."""
  near = jnp.arange(levels.shape[0]) < length
  inside = (near[:, None] & near[None])[..., None]
  # Counts by high and low digit: a product of matrices is faster than a scatter.
  digits = jnp.arange(16.0).reshape(1, 1, 1, 16)
  high, low = (
      (digit[..., None] == digits).astype(jnp.float32)
      for digit in (levels // 16, levels % 16)
  )
  counts = jnp.einsum('ijch,ijcl->hl', high * inside[..., None], low)
  return jnp.sum(counts > 0).astype(jnp.float32)


def _same(noise: Image, is_grey: Bool[Array, '']) -> Image:
  """Returns the noise of the first channel in all of them, if `is_grey`."""
  return jnp.where(is_grey, noise[..., :1], noise)
