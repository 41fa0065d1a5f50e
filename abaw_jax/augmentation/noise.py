"""Gaussian and Poisson noise of Real-ESRGAN (Wang et al., arXiv 2107.10833).

Images are in 0..1 and lie on a canvas, see `canvas.py`. Both kinds are functions of
standard normal numbers, so that one draw serves either.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.augmentation import draws

_LUMINANCE = (0.2989, 0.587, 0.114)
# Up to this mean, a Poisson number is found by adding probabilities. It is above
# the count with a probability of 1e-8.
_SMALL_MEAN, _LARGEST_COUNT = 8.0, 28

Image = Float[Array, 'n n 3']


def gaussian(
    normal: Image, *, sigma: draws.Number, is_grey: draws.Flag
) -> Image:
  """Returns Gaussian noise to add.

  Args:
    normal: standard normal numbers.
    sigma: standard deviation, in units of 1 / 255.
    is_grey: whether all channels have the same noise.
  """
  return _same(normal, is_grey) * (sigma / 255)


def poisson(
    normal: Image,
    image: Image,
    *,
    scale: draws.Number,
    is_grey: draws.Flag,
    length: draws.Integer,
) -> Image:
  """Returns Poisson noise to add.

  A pixel of value x becomes a Poisson number with mean n x, divided by n. Here n is
  the number of different values in the image after rounding to 8 bits, rounded up
  to a power of 2.

  Args:
    normal: standard normal numbers.
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
  noise = poisson_quantile(normal, clean * steps) / steps - clean
  return _same(noise, is_grey) * scale


def poisson_quantile(
    normal: Float[Array, '*b'], mean: Float[Array, '*b']
) -> Float[Array, '*b']:
  """Returns Poisson numbers from standard normal numbers of the same quantile.

  Exact for a mean up to 8. Above, this is the expansion of Cornish and Fisher up to
  the kurtosis: probabilities differ by 0.3% in total at 8, and less for more. The
  sampler of JAX is exact, but takes thirty times as long.
  """
  root = jnp.sqrt(jnp.maximum(mean, _SMALL_MEAN))
  expansion = (normal**2 - 1) / 6 + (normal - normal**3) / (72 * root)
  large = jnp.maximum(jnp.round(mean + root * normal + expansion), 0.0)
  quantile = jax.scipy.special.ndtr(normal)
  small_mean = jnp.minimum(mean, _SMALL_MEAN)
  probability = below = jnp.exp(-small_mean)
  small = jnp.zeros_like(mean)
  for count in range(1, _LARGEST_COUNT + 1):
    small += quantile > below
    probability *= small_mean / count
    below += probability
  return jnp.where(mean <= _SMALL_MEAN, small, large)


def distinct(
    levels: Float[Array, 'n n c'], length: draws.Integer
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


def _same(noise: Image, is_grey: draws.Flag) -> Image:
  """Returns the noise of the first channel in all of them, if `is_grey`."""
  return jnp.where(is_grey, noise[..., :1], noise)
