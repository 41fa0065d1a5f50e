"""Low-resolution images from good ones, as Real-ESRGAN makes them.

Two stages of blur, resize, noise and JPEG, then a sinc filter (Wang et al., arXiv
2107.10833). Unlike there, each image has its own draws; the published code draws the
filters and the kinds of noise once per batch, and mixes batches in a queue. It also
degrades images of 400 pixels and then takes squares of 256 pixels from them. Here the
squares are taken first, so the blur reflects the border of the square.

Sizes change from image to image, so images lie on a canvas, see `canvas.py`.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key
import numpy as np

from abaw_jax.augmentation import blur_kernels, canvas, jpeg, noise
from abaw_jax.augmentation import draws as draws_lib
from abaw_jax.core import errors

Image = Float[Array, 'n n 3']
# Uniform numbers that the choices of a stage, and those at the end, take.
STAGE_NUMBERS, FINAL_NUMBERS = 18, 5


class Stage(NamedTuple):
  """Distributions of one stage. A range has its least and its largest value.

  Attributes:
    blur_prob: probability of a blur.
    kernel_probs: of each of `blur_kernels.KINDS`, up to a common factor.
    sinc_prob: probability that the kernel is a sinc filter instead.
    blur_sigma: range of standard deviations of kernels, in pixels.
    generalized_beta: range of shapes of generalised Gaussians, around 1.
    plateau_beta: the same of plateaus.
    resize_probs: of an enlargement, of a reduction, and of no resize, up to a
      common factor.
    resize_range: range of the factor of the resize, around 1.
    gaussian_prob: probability that the noise is Gaussian; otherwise Poisson.
    noise_sigma: range of standard deviations, in units of 1 / 255.
    poisson_scale: range of factors of Poisson noise.
    grey_prob: probability that noise is equal in all channels.
    jpeg_quality: range of the quality.
  """

  blur_prob: draws_lib.Number
  kernel_probs: Sequence[draws_lib.Number]
  sinc_prob: draws_lib.Number
  blur_sigma: Sequence[draws_lib.Number]
  generalized_beta: Sequence[draws_lib.Number]
  plateau_beta: Sequence[draws_lib.Number]
  resize_probs: Sequence[draws_lib.Number]
  resize_range: Sequence[draws_lib.Number]
  gaussian_prob: draws_lib.Number
  noise_sigma: Sequence[draws_lib.Number]
  poisson_scale: Sequence[draws_lib.Number]
  grey_prob: draws_lib.Number
  jpeg_quality: Sequence[draws_lib.Number]


class Choices(NamedTuple):
  """The random choices of a stage for one image.

  Attributes:
    kernel: of the blur.
    factor: of the resize.
    method: index of its filter in `canvas.FILTERS`.
    is_gaussian: whether the noise is Gaussian; otherwise Poisson.
    is_grey: whether it is equal in all channels.
    sigma: of Gaussian noise, in units of 1 / 255.
    poisson_scale: factor of Poisson noise.
    quality: of the JPEG compression.
  """

  kernel: blur_kernels.Kernel
  factor: draws_lib.Number
  method: draws_lib.Integer
  is_gaussian: draws_lib.Flag
  is_grey: draws_lib.Flag
  sigma: draws_lib.Number
  poisson_scale: draws_lib.Number
  quality: draws_lib.Number


class FinalChoices(NamedTuple):
  """The random choices after the two stages for one image.

  Attributes:
    kernel: a sinc filter, or the identity.
    method: index of the filter of the last resize in `canvas.FILTERS`.
    is_jpeg_last: whether the last JPEG compression follows resize and sinc
      filter; otherwise it precedes them.
  """

  kernel: blur_kernels.Kernel
  method: draws_lib.Integer
  is_jpeg_last: draws_lib.Flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class Degradation:
  """The full pipeline: a function from keys and images to small images.

  Attributes:
    scale: side of a good image / side of the small image.
    first: the first stage.
    second: the second stage; its factors count from the side of the small image.
    final_sinc_prob: probability of the last sinc filter.
  """

  scale: int
  first: Stage
  second: Stage
  final_sinc_prob: float

  @classmethod
  def from_config(cls, section: Mapping[str, Any], scale: int) -> 'Degradation':
    """Returns the pipeline of a `degradation` section of a config.

    Raises:
      InputError: a range is empty, or probabilities are all 0.
    """
    for name in ('first', 'second'):
      _check(section[name], f'config.degradation.{name}')
    return cls(
        scale=scale,
        first=Stage(**section['first']),
        second=Stage(**section['second']),
        final_sinc_prob=section['final_sinc_prob'],
    )

  def __call__(
      self, keys: Key[Array, 'b'], images: Float[Array, 'b s s 3']
  ) -> Float[Array, 'b s_ s_ 3']:
    """Returns small images with values that 8 bits can hold.

    Args:
      keys: one key per image.
      images: square RGB images in 0..1 whose side `scale` divides.
    """
    return jax.vmap(self._one)(keys, images)

  def _one(self, key: Key[Array, ''], image: Image) -> Float[Array, 'm m 3']:
    side = image.shape[0]
    small = side // self.scale
    choice_key, noise_key = jax.random.split(key)
    numbers = jax.random.uniform(
        choice_key, (2 * STAGE_NUMBERS + FINAL_NUMBERS,)
    )
    # Both stages at once, which halves the time of compilation.
    both = jax.tree.map(lambda *x: jnp.float32(x), self.first, self.second)
    choices = jax.vmap(stage_choices)(
        numbers[:-FINAL_NUMBERS].reshape(2, STAGE_NUMBERS), both
    )
    first, second = jax.tree.map(lambda x: x[0], choices), jax.tree.map(
        lambda x: x[1], choices
    )
    last = final_choices(numbers[-FINAL_NUMBERS:], self.final_sinc_prob)
    sides = (
        max(1, int(side * self.first.resize_range[1])),
        max(1, int(small * self.second.resize_range[1])),
    )
    # A vector compiles faster than an array of images.
    normal = jax.random.normal(
        noise_key, (3 * (sides[0] ** 2 + sides[1] ** 2),)
    )
    normals = jnp.split(normal, [3 * sides[0] ** 2])

    image, length = blur_resize_noise(
        first, normals[0].reshape(sides[0], sides[0], 3), image, side, side
    )
    image = jpeg.compress(image, first.quality, length)
    image, length = blur_resize_noise(
        second, normals[1].reshape(sides[1], sides[1], 3), image, length, small
    )
    image = jnp.where(
        last.is_jpeg_last, image, jpeg.compress(image, second.quality, length)
    )
    image = canvas.resize(image, length, small, last.method, side=small)
    image = canvas.correlate(image, last.kernel, small)
    image = jnp.where(
        last.is_jpeg_last, jpeg.compress(image, second.quality, small), image
    )
    return jnp.round(jnp.clip(image, 0.0, 1.0) * 255) / 255


def stage_choices(numbers: Float[Array, 'n'], stage: Stage) -> Choices:
  """Returns the choices of a stage for one image, from uniform numbers."""
  draws = draws_lib.Draws(numbers)
  kernel = jnp.where(
      draws.happens(stage.blur_prob),
      blur_kernels.random_kernel(
          draws,
          sinc_prob=stage.sinc_prob,
          probs=stage.kernel_probs,
          sigma=stage.blur_sigma,
          generalized_beta=stage.generalized_beta,
          plateau_beta=stage.plateau_beta,
      ),
      blur_kernels.identity(),
  )
  least, most = stage.resize_range
  ranges = jnp.array([(1.0, most), (least, 1.0), (1.0, 1.0)])
  return Choices(
      kernel=kernel,
      factor=draws.uniform(ranges[draws.index(stage.resize_probs)]),
      method=draws.index((1,) * len(canvas.FILTERS)),
      is_gaussian=draws.happens(stage.gaussian_prob),
      is_grey=draws.happens(stage.grey_prob),
      sigma=draws.uniform(stage.noise_sigma),
      poisson_scale=draws.uniform(stage.poisson_scale),
      quality=draws.uniform(stage.jpeg_quality),
  )


def final_choices(numbers: Float[Array, 'n'], sinc_prob: float) -> FinalChoices:
  """Returns the choices after the stages for one image; see `stage_choices`."""
  draws = draws_lib.Draws(numbers)
  sinc = blur_kernels.sinc(
      size=blur_kernels.random_size(draws),
      cutoff=draws.uniform((jnp.pi / 3, jnp.pi)),
  )
  return FinalChoices(
      kernel=jnp.where(draws.happens(sinc_prob), sinc, blur_kernels.identity()),
      method=draws.index((1,) * len(canvas.FILTERS)),
      is_jpeg_last=draws.happens(0.5),
  )


def blur_resize_noise(
    choices: Choices,
    normal: Float[Array, 'm m 3'],
    image: Image,
    length: draws_lib.Integer,
    base: int,
) -> tuple[Float[Array, 'm m 3'], Int[Array, '']]:
  """Returns (the image after a stage without its JPEG, its side).

  Args:
    choices: of the stage.
    normal: standard normal numbers on the canvas of the result.
    image: canvas.
    length: side of the image.
    base: side of the image that a factor of 1 gives.
  """
  image = canvas.correlate(image, choices.kernel, length)
  new_length = jnp.floor(base * choices.factor).astype(jnp.int32)
  new_length = jnp.maximum(new_length, 1)
  side = normal.shape[0]
  image = canvas.resize(image, length, new_length, choices.method, side=side)
  is_grey = choices.is_grey
  added = jnp.where(
      choices.is_gaussian,
      noise.gaussian(normal, sigma=choices.sigma, is_grey=is_grey),
      noise.poisson(
          normal,
          image,
          scale=choices.poisson_scale,
          is_grey=is_grey,
          length=new_length,
      ),
  )
  return jnp.clip(image + added, 0.0, 1.0), new_length


@jax.vmap
def sharpen(images: Float[Array, 'n n 3']) -> Float[Array, 'n n 3']:
  """Returns images in 0..1 after the unsharp mask of Real-ESRGAN's targets.

  Half of the difference to a blurred image is added where it is above 10 / 255.
  """
  offsets = np.arange(51) - 25
  weights = np.exp(-(offsets**2) / (2 * 8.0**2))
  kernel = jnp.float32(np.outer(weights, weights) / weights.sum() ** 2)
  side = images.shape[0]
  residual = images - canvas.correlate(images, kernel, side)
  mask = (jnp.abs(residual) * 255 > 10).astype(jnp.float32)
  mask = canvas.correlate(mask, kernel, side)
  sharp = jnp.clip(images + 0.5 * residual, 0.0, 1.0)
  return mask * sharp + (1 - mask) * images


def _check(section: Mapping[str, Any], name: str) -> None:
  for key, value in section.items():
    if key.endswith('_probs') and not sum(value):
      raise errors.InputError(
          f'{name}.{key}={value}: make one of them positive'
      )
    if not key.endswith(('_prob', '_probs')) and value[0] > value[1]:
      raise errors.InputError(
          f'{name}.{key}={value}: the first is larger than the second; swap them'
      )
    if key in ('resize_range', 'generalized_beta', 'plateau_beta') and not (
        value[0] <= 1 <= value[1]
    ):
      raise errors.InputError(f'{name}.{key}={value}: give a range around 1')
