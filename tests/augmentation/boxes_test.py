"""Random boxes against their law."""

import jax
import numpy as np
import pytest

from abaw_jax.augmentation import boxes

_random_boxes = jax.jit(
    boxes.random_boxes, static_argnames=('count', 'height', 'width', 'scale')
)


def test_boxes_follow_the_law():
  height, width = 120, 160
  found = _random_boxes(
      jax.random.key(0), count=20000, height=height, width=width
  )
  top, left, h, w = np.asarray(found).T
  np.testing.assert_array_equal(found, np.round(found))
  assert (top >= 0).all()
  assert (left >= 0).all()
  assert (top + h <= height).all()
  assert (left + w <= width).all()
  # Sides are rounded to pixels: half a pixel on the smallest side, 46.
  assert (w / h >= 3 / 4 * 0.975).all()
  assert (w / h <= 4 / 3 * 1.025).all()
  area = h * w / (height * width)
  assert (area >= 0.2 * 0.975).all()
  # Both ends of every range are reached.
  assert area.min() < 0.21
  assert area.max() > 0.99
  assert top.min() == 0
  assert (top + h == height).any()
  assert (left + w == width).any()


def test_boxes_are_distributed_like_rejection_sampling():
  height, width, count = 112, 112, 20000
  found = np.asarray(
      _random_boxes(jax.random.key(1), count=count, height=height, width=width)
  )
  rng = np.random.default_rng(0)
  want = []
  while len(want) < count:
    area = height * width * rng.uniform(0.2, 1.0)
    ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    h, w = round(np.sqrt(area / ratio)), round(np.sqrt(area * ratio))
    if h <= height and w <= width:
      top = rng.integers(0, height - h + 1)
      left = rng.integers(0, width - w + 1)
      want.append((top, left, h, w))
  # Mean and spread of 20,000 draws are known to about 1 % of the spread.
  spread = np.std(want, axis=0)
  np.testing.assert_array_less(
      np.abs(found.mean(0) - np.mean(want, axis=0)) / spread, 0.05
  )
  np.testing.assert_allclose(found.std(0), spread, rtol=0.05)


@pytest.mark.parametrize(
    ('shape', 'want'),
    [
        ((400, 20), (186.0, 0.0, 27.0, 20.0)),
        ((20, 400), (0.0, 186.0, 20.0, 27.0)),
    ],
)
def test_an_image_no_box_fits_falls_back_to_its_centre(shape, want):
  found = _random_boxes(
      jax.random.key(0),
      count=4,
      height=shape[0],
      width=shape[1],
      scale=(0.9, 1.0),
  )
  np.testing.assert_array_equal(found, [want] * 4)
