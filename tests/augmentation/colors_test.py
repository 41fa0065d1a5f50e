"""Colours against Pillow and colorsys, jitter against its law."""

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
        (colors.change_brightness, ImageEnhance.Brightness),
        (colors.change_contrast, ImageEnhance.Contrast),
        (colors.change_saturation, ImageEnhance.Color),
    ],
)
def test_changes_are_those_of_pillow(change, enhance):
  factors = np.float32([0.0, 0.6, 1.0, 1.7])
  got = change(jnp.float32(images()), jnp.asarray(factors))
  for image, factor, out in zip(images(), factors, got, strict=True):
    want = enhance(Image.fromarray(image)).enhance(float(factor))
    # Pillow rounds the grey, and the result down.
    np.testing.assert_allclose(out, np.float32(want), atol=1.5)


def test_the_hue_is_turned_as_in_hsv():
  turns = np.float32([0.0, 0.1, -0.4, 0.5])
  faces = images(size=6)
  faces[:, 0] = faces[:, 0, :, :1]  # grey
  turn_hue = jax.jit(colors.turn_hue)
  got = np.asarray(turn_hue(jnp.float32(faces), jnp.asarray(turns)))

  def turn(pixel, by):
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
    return colorsys.hsv_to_rgb((hue + by) % 1, saturation, value)

  want = [
      [turn(pixel, by) for pixel in face.reshape(-1, 3) / 255.0]
      for face, by in zip(faces, turns, strict=True)
  ]
  np.testing.assert_allclose(
      got, 255.0 * np.array(want).reshape(got.shape), atol=1e-2
  )


@pytest.mark.parametrize(
    ('place', 'strength', 'least', 'most'),
    [(0, 0.4, 0.6, 1.4), (0, 1.5, 0.0, 2.5), (3, 0.1, -0.1, 0.1)],
)
def test_factors_are_uniform(place, strength, least, most):
  strengths = np.zeros(4)
  strengths[place] = strength
  # Red tells both: its brightness, and how much green a turned hue brings.
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
  # A uniform draw's spread is its range over the root of 12.
  width = most - least
  assert drawn.mean() == pytest.approx((least + most) / 2, abs=0.02 * width)
  assert drawn.std() == pytest.approx(width / 12**0.5, rel=0.03)


def test_all_orders_are_drawn_and_images_differ():
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
    bright, contrast = colors.change_brightness, colors.change_contrast
    ways = [
        contrast(bright(faces, factors[0]), factors[1]),
        bright(contrast(faces, factors[1]), factors[0]),
    ]
    close = [bool(np.allclose(out, way, atol=1e-3)) for way in ways]
    assert any(close)
    firsts |= {i for i in range(2) if close[i] and not close[1 - i]}
  assert firsts == {0, 1}
