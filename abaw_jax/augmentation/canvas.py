"""Images of changing size in arrays of a fixed size.

An image of side `length` lies in the top left corner of a square array, the canvas.
`length` is a traced number, so one compiled program serves every size. Pixels
outside the image are any finite numbers and change no result.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.augmentation import draws

FILTERS = ('area', 'bilinear', 'bicubic')
_CUBIC = -0.75  # of OpenCV and PyTorch

Image = Float[Array, 'n n c']


def replicated(
    image: Image, length: draws.Integer, side: int
) -> Float[Array, 'm m c']:
  """Returns a canvas of this side with the border of the image repeated."""
  place = jnp.minimum(jnp.arange(side), length - 1)
  return image[place][:, place]


def correlate(
    image: Image, kernel: Float[Array, 'k k'], length: draws.Integer
) -> Image:
  """Returns the image filtered with one kernel, as OpenCV's `filter2D`.

  The border is reflected without its last pixel. This multiplies spectra: the cost
  does not grow with the kernel, and a batch of images can have a kernel each.

  Args:
    image: canvas.
    kernel: of an odd side k.
    length: side of the image.
  """
  side, radius = image.shape[0], kernel.shape[0] // 2
  period = jnp.maximum(2 * (length - 1), 1)
  place = jnp.arange(-radius, side + radius) % period
  place = jnp.minimum(place, period - place)
  # The transform is faster for sides with small prime factors.
  total = -(-(side + 2 * radius) // 8) * 8
  spectra = [
      jnp.fft.rfft2(x, (total, total), axes=(0, 1))
      for x in (image[place][:, place], kernel[..., None])
  ]
  product = spectra[0] * jnp.conj(spectra[1])
  return jnp.fft.irfft2(product, (total, total), axes=(0, 1))[:side, :side]


def resize(
    image: Image,
    length: draws.Integer,
    new_length: draws.Integer,
    method: draws.Integer,
    *,
    side: int,
) -> Float[Array, '{side} {side} c']:
  """Returns the image resized to `new_length`, in a canvas of this side.

  The results are those of OpenCV for float32, without antialiasing of 'bilinear'
  and 'bicubic'. Real-ESRGAN resizes with PyTorch, whose 'area' is the mean over all
  pixels that a new pixel touches, without weights.

  Args:
    image: canvas.
    length: side of the image.
    new_length: its new side, at most `side`.
    method: index of a filter in FILTERS.
    side: side of the new canvas.
  """
  weights = resize_weights(
      length, new_length, method, rows=side, columns=image.shape[0]
  )
  return jnp.einsum(
      'ij,kl,jlc->ikc', weights, weights, image, precision='highest'
  )


def resize_weights(
    length: draws.Integer,
    new_length: draws.Integer,
    method: draws.Integer,
    *,
    rows: int,
    columns: int,
) -> Float[Array, '{rows} {columns}']:
  """Returns the matrix that resizes one axis; see `resize`."""
  step = length / new_length  # in pixels of the input
  place, pixel = jnp.arange(rows)[:, None], jnp.arange(columns)[None]
  # 'area': the part of each pixel of the output that a pixel of the input covers.
  start = place * step
  covered = jnp.minimum(start + step, pixel + 1) - jnp.maximum(start, pixel)
  area = jnp.maximum(covered, 0.0) / step
  # Weights of the four nearest pixels; pixels outside are those of the border.
  centre = (place + 0.5) * step - 0.5
  first = jnp.floor(centre)
  share = centre - first
  interpolated = jnp.zeros((rows, columns))
  for tap in range(-1, 3):
    near = jnp.clip(first + tap, 0, length - 1) == pixel
    distance = jnp.abs(share - tap)
    linear = jnp.maximum(1.0 - distance, 0.0)
    weight = jnp.where(method == 1, linear, _cubic(distance))
    interpolated += jnp.where(near, weight, 0.0)
  return jnp.where(method == 0, area, interpolated)


def _cubic(distance: Float[Array, '*b']) -> Float[Array, '*b']:
  """Returns Keys' cubic kernel at distances from 0 to 2."""
  x, a = distance, _CUBIC
  near = ((a + 2) * x - (a + 3)) * x * x + 1
  far = a * (((x - 5) * x + 8) * x - 4)
  return jnp.where(x <= 1, near, far)
