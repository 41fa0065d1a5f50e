"""Filters and resizes of part of an array equal OpenCV's of that part alone."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.augmentation import canvas

SIDE = 30
METHODS = {
    'area': cv2.INTER_AREA,
    'bilinear': cv2.INTER_LINEAR,
    'bicubic': cv2.INTER_CUBIC,
}
# One program serves all sizes and filters.
resize = jax.jit(canvas.resize, static_argnames='side')
correlate = jax.jit(canvas.correlate)


def image(length: int) -> tuple[np.ndarray, jax.Array]:
  """Returns an image, and its canvas with NaN outside of it."""
  pixels = np.random.default_rng(length).random((length, length, 3), np.float32)
  outside = ((0, SIDE - length), (0, SIDE - length), (0, 0))
  return pixels, jnp.asarray(np.pad(pixels, outside, constant_values=np.nan))


@pytest.mark.parametrize('length', [SIDE, 17, 12])
def test_a_filter_equals_opencv(length):
  pixels, whole = image(length)
  kernel = np.random.default_rng(1).normal(size=(21, 21)).astype(np.float32)
  kernel /= np.abs(kernel).sum()
  ours = correlate(whole, kernel, length)[:length, :length]
  np.testing.assert_allclose(ours, cv2.filter2D(pixels, -1, kernel), atol=1e-6)


def test_images_smaller_than_the_kernel_are_reflected_again():
  pixels, whole = image(4)
  kernel = np.full((21, 21), 1 / 441, np.float32)
  expected = cv2.filter2D(
      np.pad(pixels, ((12, 12),) * 2 + ((0, 0),), 'reflect'), -1, kernel
  )
  ours = correlate(whole, kernel, 4)[:4, :4]
  np.testing.assert_allclose(ours, expected[12:16, 12:16], atol=1e-6)


@pytest.mark.parametrize('length', [SIDE, 17])
@pytest.mark.parametrize('new', [5, 13, 17, 40])
@pytest.mark.parametrize('name', METHODS)
def test_a_resize_equals_opencv(length, new, name):
  pixels, whole = image(length)
  # The products read every pixel, with a weight of 0 outside.
  whole = jnp.nan_to_num(whole, nan=7.0)
  ours = resize(whole, length, new, canvas.FILTERS.index(name), side=40)
  expected = cv2.resize(pixels, (new, new), interpolation=METHODS[name])
  np.testing.assert_allclose(ours[:new, :new], expected, atol=1e-5)
