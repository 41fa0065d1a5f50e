"""Scores of images against their originals: PSNR and SSIM."""

import jax.numpy as jnp
from jaxtyping import Array, Float
import numpy as np

_SIGMA, _RADIUS = 1.5, 5  # of the window of SSIM, in pixels
_C1, _C2 = 0.01**2, 0.03**2

Images = Float[Array, 'b h w c']


def psnr(images: Images, originals: Images) -> Float[Array, 'b']:
  """Returns the peak signal-to-noise ratio in dB; at most 100, for equal images.

  Args:
    images: in [0, 1].
    originals: in [0, 1].
  """
  errors = jnp.mean(jnp.square(images - originals), axis=(1, 2, 3))
  return -10.0 * jnp.log10(jnp.maximum(errors, 1e-10))


def ssim(images: Images, originals: Images) -> Float[Array, 'b']:
  """Returns the structural similarity, the mean over channels and windows.

  Windows are Gaussian with a standard deviation of 1.5 pixels and lie inside the
  image (Wang et al., IEEE TIP 13(4), 2004).

  Args:
    images: in [0, 1], with sides of 11 pixels or more.
    originals: in [0, 1].
  """
  rows, columns = map(_windows, images.shape[1:3])

  def mean(x):
    return jnp.einsum('ij,kl,bjlc->bikc', rows, columns, x, precision='highest')

  # Variances lose fewer digits around 0.
  shift = jnp.mean(originals, axis=(1, 2, 3), keepdims=True)
  x, y = images - shift, originals - shift
  mean_x, mean_y = mean(x), mean(y)
  var_x = mean(x * x) - mean_x**2
  var_y = mean(y * y) - mean_y**2
  covariance = mean(x * y) - mean_x * mean_y
  mean_x, mean_y = mean_x + shift, mean_y + shift
  luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
  structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
  return jnp.mean(luminance * structure, axis=(1, 2, 3))


MEASURES = {'PSNR': psnr, 'SSIM': ssim}


def _windows(length: int) -> Float[np.ndarray, 'n {length}']:
  """Returns one window in each row, shifted by one pixel from row to row."""
  offsets = np.arange(-_RADIUS, _RADIUS + 1)
  weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
  rows = np.zeros((length - 2 * _RADIUS, length), np.float32)
  for i, row in enumerate(rows):
    row[i : i + len(weights)] = weights / weights.sum()
  return rows
