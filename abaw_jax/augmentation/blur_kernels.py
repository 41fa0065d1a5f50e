"""Random blur kernels of Real-ESRGAN (Wang et al., arXiv 2107.10833).

All kernels are 21 x 21 and sum to 1. A smaller kernel has zeros around it. Every
kernel is symmetric about its centre.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from abaw_jax.augmentation import draws as draws_lib

SIZE = 21
SIZES = tuple(range(7, SIZE + 1, 2))
KINDS = (
    'iso', 'aniso', 'generalized_iso', 'generalized_aniso', 'plateau_iso',
    'plateau_aniso',
)  # fmt: skip
# Points of the integral in `bessel_j1`; enough for arguments up to 45.
_POINTS = 64

Kernel = Float[Array, '21 21']


def identity() -> Kernel:
  """Returns the kernel that changes nothing."""
  return jnp.zeros((SIZE, SIZE)).at[SIZE // 2, SIZE // 2].set(1.0)


def bell(
    *,
    size: draws_lib.Integer,
    sigma_x: draws_lib.Number,
    sigma_y: draws_lib.Number,
    radians: draws_lib.Number,
    beta: draws_lib.Number,
    plateau: draws_lib.Flag,
) -> Kernel:
  """Returns a generalised Gaussian or a plateau.

  With the squared Mahalanobis distance d from the centre, they are
  exp(-d^beta / 2) and 1 / (1 + d^beta). A `beta` of 1 in the first is a Gaussian.

  Args:
    size: side, an odd number up to 21.
    sigma_x: standard deviation along the first axis, in pixels.
    sigma_y: standard deviation along the second axis, in pixels.
    radians: angle from x to the first axis.
    beta: shape, above 0.
    plateau: whether the result is a plateau.
  """
  y, x = _offsets()
  cos, sin = jnp.cos(radians), jnp.sin(radians)
  along, across = cos * x + sin * y, cos * y - sin * x
  power = ((along / sigma_x) ** 2 + (across / sigma_y) ** 2) ** beta
  values = jnp.where(plateau, 1.0 / (1.0 + power), jnp.exp(-0.5 * power))
  return _cut(values, size)


def sinc(*, size: draws_lib.Integer, cutoff: draws_lib.Number) -> Kernel:
  """Returns a circular low-pass filter, which makes ringing.

  Args:
    size: side, an odd number up to 21.
    cutoff: frequency in radians per pixel, from 0 to pi.
  """
  y, x = _offsets()
  radius = jnp.sqrt(x**2 + y**2)
  is_centre = radius == 0
  radius = jnp.where(is_centre, 1.0, radius)
  values = cutoff * bessel_j1(cutoff * radius) / (2 * jnp.pi * radius)
  centre = cutoff**2 / (4 * jnp.pi)
  return _cut(jnp.where(is_centre, centre, values), size)


def bessel_j1(x: Float[Array, '*b']) -> Float[Array, '*b']:
  """Returns the Bessel function of order 1, for arguments from -45 to 45.

  This is the mean of cos(t - x sin t) over a period of t. The integrand is
  periodic, so the mean over few points is exact to rounding.
  """
  t = (jnp.arange(_POINTS) + 0.5) * (jnp.pi / _POINTS)
  shape = (_POINTS,) + (1,) * x.ndim
  t = t.reshape(shape)
  return jnp.mean(jnp.cos(t - x[None] * jnp.sin(t)), axis=0)


def random_bell(
    draws: draws_lib.Draws,
    size: draws_lib.Integer,
    *,
    probs: Sequence[draws_lib.Number],
    sigma: Sequence[draws_lib.Number],
    generalized_beta: Sequence[draws_lib.Number],
    plateau_beta: Sequence[draws_lib.Number],
) -> Kernel:
  """Returns a random kernel that is not a sinc filter; uses six numbers.

  Args:
    draws: random numbers.
    size: side, an odd number up to 21.
    probs: probability of each of KINDS, up to a common factor.
    sigma: least and largest standard deviation in pixels.
    generalized_beta: least and largest shape of a generalised Gaussian. Half of
      the shapes are below 1.
    plateau_beta: the same for a plateau.
  """
  kind = draws.index(probs)
  is_iso = kind % 2 == 0
  sigma_x, sigma_y = draws.uniform(sigma), draws.uniform(sigma)
  angle = draws.uniform((-jnp.pi, jnp.pi))
  ranges = jnp.array([(1.0, 1.0), generalized_beta, plateau_beta])[kind // 2]
  is_below = draws.happens(0.5)
  limits = jnp.where(is_below, ranges[0], 1.0), jnp.where(
      is_below, 1.0, ranges[1]
  )
  return bell(
      size=size,
      sigma_x=sigma_x,
      sigma_y=jnp.where(is_iso, sigma_x, sigma_y),
      radians=jnp.where(is_iso, 0.0, angle),
      beta=draws.uniform(limits),
      plateau=kind // 2 == 2,
  )


def random_kernel(
    draws: draws_lib.Draws, *, sinc_prob: draws_lib.Number, **bells: Any
) -> Kernel:
  """Returns a random kernel of a random size; uses nine numbers.

  The cutoff of a sinc filter is at least pi / 3, or pi / 5 from size 13 on.

  Args:
    draws: random numbers.
    sinc_prob: probability of a sinc filter.
    **bells: options of `random_bell`.
  """
  size = random_size(draws)
  is_sinc = draws.happens(sinc_prob)
  least = jnp.where(size < 13, jnp.pi / 3, jnp.pi / 5)
  filtered = sinc(size=size, cutoff=draws.uniform((least, jnp.pi)))
  return jnp.where(is_sinc, filtered, random_bell(draws, size, **bells))


def random_size(draws: draws_lib.Draws) -> Int[Array, '']:
  """Returns one of SIZES; all are equally likely. Uses one number."""
  return jnp.array(SIZES)[draws.index((1,) * len(SIZES))]


def _offsets() -> tuple[Float[Array, '21 1'], Float[Array, '1 21']]:
  """Returns distances of rows and of columns from the centre, in pixels."""
  places = jnp.arange(SIZE, dtype=jnp.float32) - SIZE // 2
  return places[:, None], places[None]


def _cut(values: Kernel, size: draws_lib.Integer) -> Kernel:
  """Returns the values within a square of side `size`, divided by their sum."""
  y, x = map(jnp.abs, _offsets())
  kept = jnp.where(jnp.maximum(y, x) <= size // 2, values, 0.0)
  return kept / jnp.sum(kept)
