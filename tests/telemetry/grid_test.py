"""Grids of pictures, and their PNG read with Pillow."""

import io

import numpy as np
from PIL import Image
import pytest

from abaw_jax.telemetry import grid


def test_a_png_keeps_rgb_order():
  image = np.zeros((2, 3, 3), np.uint8)
  image[0, 0] = (255, 10, 20)
  with Image.open(io.BytesIO(grid.encode_png(image))) as decoded:
    assert (decoded.format, decoded.mode) == ('PNG', 'RGB')
    np.testing.assert_array_equal(np.asarray(decoded), image)


@pytest.mark.parametrize(('side', 'scale'), [(64, 2), (112, 1), (224, 1)])
def test_every_picture_is_at_its_position(side, scale):
  rng = np.random.default_rng(0)
  left, right = rng.integers(0, 256, (2, 3, side, side, 3), np.uint8)
  drawn = grid.draw({'left': left, 'right': right})
  cell = side * scale
  gap = (drawn.shape[1] - 2 * cell) // 3
  assert gap > 0
  title = drawn.shape[0] - 3 * (cell + gap)
  assert (drawn[:title] < 128).any(), 'no title'
  for column, images in enumerate((left, right)):
    for row, image in enumerate(images):
      top = title + row * (cell + gap)
      start = gap + column * (cell + gap)
      found = drawn[top : top + cell, start : start + cell]
      np.testing.assert_array_equal(
          found, np.kron(image, np.ones((scale, scale, 1), np.uint8))
      )
  # The background is white.
  assert (drawn[title:, :gap] == 255).all()
  assert (drawn[-gap:] == 255).all()
