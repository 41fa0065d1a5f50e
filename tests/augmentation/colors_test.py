"""Colour operations equal Pillow and colorsys; jitter has its distribution."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageEnhance
import pytest

from abaw_jax.augmentation import colors


def images(count=4, size=12):
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ('change', 'enhance'),
    [
        (colors.adjust_brightness, ImageEnhance.Brightness),
        (colors.adjust_contrast, ImageEnhance.Contrast),
        (colors.adjust_saturation, ImageEnhance.Color),
    ],
)
def test_operations_equal_pillow(change, enhance):
  factors = np.float32([0.0, 0.6, 1.0, 1.7])
  got = change(jnp.float32(images()), jnp.asarray(factors))
  for image, factor, out in zip(images(), factors, got, strict=True):
    expected = enhance(Image.fromarray(image)).enhance(float(factor))
    # Pillow rounds the luminance, and rounds the result down.
    np.testing.assert_allclose(out, np.float32(expected), atol=1.5)


def test_the_hue_shift_equals_hsv():
  turns = np.float32([0.0, 0.1, -0.4, 0.5])
  faces = images(size=6)
  faces[:, 0] = faces[:, 0, :, :1]  # gray
  shift_hue = jax.jit(colors.shift_hue)
  got = np.asarray(shift_hue(jnp.float32(faces), jnp.asarray(turns)))

  def turn(pixel, by):
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
    return colorsys.hsv_to_rgb((hue + by) % 1, saturation, value)

  expected = [
      [turn(pixel, by) for pixel in face.reshape(-1, 3) / 255.0]
      for face, by in zip(faces, turns, strict=True)
  ]
  np.testing.assert_allclose(
      got, 255.0 * np.array(expected).reshape(got.shape), atol=1e-2
  )


@pytest.mark.parametrize(
    ('place', 'strength', 'least', 'most'),
    [(0, 0.4, 0.6, 1.4), (0, 1.5, 0.0, 2.5), (3, 0.1, -0.1, 0.1)],
)
def test_factors_are_uniform(place, strength, least, most):
  strengths = np.zeros(4)
  strengths[place] = strength
  # The factor of a red image: its brightness, or the green that a hue shift
  # adds.
  red = np.zeros((4000, 1, 1, 3), np.float32)
  red[..., 0] = 100.0
  out = colors.jitter(jax.random.key(0), jnp.asarray(red), tuple(strengths))
  out = np.asarray(out)[:, 0, 0]
  if place == 0:
    drawn = out[:, 0] / 100.0
  else:
    drawn = (out[:, 1] - out[:, 2]) / 600.0
  assert drawn.min() == pytest.approx(least, abs=0.005)
  assert drawn.max() == pytest.approx(most, abs=0.005)
  # The standard deviation of a uniform variable is range / sqrt(12).
  width = most - least
  assert drawn.mean() == pytest.approx((least + most) / 2, abs=0.02 * width)
  assert drawn.std() == pytest.approx(width / 12**0.5, rel=0.03)


def test_the_order_of_operations_is_random():
  faces = jnp.float32(images(count=3, size=4))
  jitter = jax.jit(lambda key: colors.jitter(key, faces, (0.4, 0.4, 0.0, 0.0)))
  firsts = set()
  for seed in range(12):
    key = jax.random.key(seed)
    out = jitter(key)
    assert (out >= 0).all()
    assert (out <= 255).all()
    _, first, second, _, _ = jax.random.split(key, 5)
    factors = [
        jax.random.uniform(k, (3,), minval=0.6, maxval=1.4)
        for k in (first, second)
    ]
    bright, contrast = colors.adjust_brightness, colors.adjust_contrast
    orders = [
        contrast(bright(faces, factors[0]), factors[1]),
        bright(contrast(faces, factors[1]), factors[0]),
    ]
    close = [bool(np.allclose(out, order, atol=1e-3)) for order in orders]
    assert any(close)
    firsts |= {i for i in range(2) if close[i] and not close[1 - i]}
  assert firsts == {0, 1}
