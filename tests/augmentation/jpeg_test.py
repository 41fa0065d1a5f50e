"""JPEG compression loses what Pillow's JPEG files lose."""

import io

import cv2
import jax
import numpy as np
from PIL import Image
import pytest
from scipy import fft

from abaw_jax.augmentation import jpeg

SIDE = 48
compress = jax.jit(jpeg.compress)


def picture(is_grey: bool) -> np.ndarray:
  """Returns smooth colours or greys, uint8."""
  pixels = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)
  pixels = cv2.GaussianBlur(pixels, (0, 0), 3)
  pixels = (pixels - pixels.min()) / np.ptp(pixels)
  if is_grey:
    pixels = pixels[..., :1].repeat(3, axis=-1)
  return np.round(255 * pixels).astype(np.uint8)


def pillow(pixels: np.ndarray, quality: int) -> np.ndarray:
  """Returns the pixels after a JPEG file, with Pillow's quantisation tables."""
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, 'JPEG', quality=quality)
  return np.asarray(Image.open(file), np.float32)


def ours(pixels: np.ndarray, quality: float, length: int = SIDE) -> np.ndarray:
  outside = ((0, SIDE - length),) * 2 + ((0, 0),)
  whole = np.pad(np.float32(pixels / 255), outside, constant_values=0.5)
  return (
      255
      * np.asarray(compress(whole, float(quality), length))[:length, :length]
  )


@pytest.mark.parametrize('quality', [1, 30, 50, 75, 95, 100])
def test_tables_equal_those_in_pillow_files(quality):
  file = io.BytesIO()
  Image.fromarray(picture(False)).save(file, 'JPEG', quality=quality)
  expected = Image.open(file).quantization
  for number, table in enumerate(jpeg.tables(float(quality))):
    np.testing.assert_array_equal(table, np.reshape(expected[number], (8, 8)))


@pytest.mark.parametrize('quality', [30, 60, 95])
@pytest.mark.parametrize('length', [SIDE, 37])
def test_grey_images_equal_pillow_to_one_level(quality, length):
  # Few coefficients are halfway between two steps, where rounding decides.
  pixels = picture(is_grey=True)[:length, :length]
  expected = pillow(pixels, quality)
  assert np.abs(expected - pixels).max() > 1
  differences = np.abs(np.round(ours(pixels, quality, length)) - expected)
  assert np.mean(differences > 1) < 0.1
  assert differences.mean() < 0.2


@pytest.mark.parametrize('quality', [30, 60, 95])
@pytest.mark.parametrize('length', [SIDE, 37])
def test_colours_are_much_nearer_to_pillow_than_the_original(quality, length):
  # libjpeg rounds chroma to 8 bits before and after the DCT. So some coefficients
  # fall on the other side of a step, and a step of chroma has up to 50 levels.
  pixels = picture(is_grey=False)[:length, :length]
  expected = pillow(pixels, quality)
  found = ours(pixels, quality, length)
  lost = np.abs(expected - pixels).mean()
  assert np.abs(found - expected).mean() < 0.5 * lost
  # The quality matters more than the rounding.
  other = pillow(pixels, quality - 20)
  assert np.abs(found - expected).mean() < np.abs(found - other).mean()


def test_blocks_equal_scipy_with_the_tables():
  pixels = picture(is_grey=True)[..., 0].astype(np.float64)
  luma, _ = jpeg.tables(40.0)
  expected = np.empty_like(pixels)
  for y in range(0, SIDE, 8):
    for x in range(0, SIDE, 8):
      block = np.s_[y : y + 8, x : x + 8]
      steps = fft.dctn(pixels[block] - 128, norm='ortho') / luma
      expected[block] = fft.idctn(np.round(steps) * luma, norm='ortho') + 128
  found = ours(picture(is_grey=True), 40.0)[..., 0]
  np.testing.assert_allclose(found, np.clip(expected, 0, 255), atol=1e-2)
