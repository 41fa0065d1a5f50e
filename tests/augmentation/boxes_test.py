"""Random boxes have the distribution of RandomResizedCrop."""

import jax
import numpy as np
import pytest

from abaw_jax.augmentation import boxes

_random_boxes = jax.jit(
    boxes.random_boxes, static_argnames=('count', 'height', 'width', 'scale')
)


def test_boxes_are_inside_the_image_and_the_ranges():
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
  # Sides are rounded to pixels: an error of 0.5 on a side of at least 46.
  assert (w / h >= 3 / 4 * 0.975).all()
  assert (w / h <= 4 / 3 * 1.025).all()
  area = h * w / (height * width)
  assert (area >= 0.2 * 0.975).all()
  # Boxes reach both ends of every range.
  assert area.min() < 0.21
  assert area.max() > 0.99
  assert top.min() == 0
  assert (top + h == height).any()
  assert (left + w == width).any()


def test_boxes_have_the_distribution_of_rejection_sampling():
  height, width, count = 112, 112, 20000
  found = np.asarray(
      _random_boxes(jax.random.key(1), count=count, height=height, width=width)
  )
  rng = np.random.default_rng(0)
  expected = []
  while len(expected) < count:
    area = height * width * rng.uniform(0.2, 1.0)
    ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    h, w = round(np.sqrt(area / ratio)), round(np.sqrt(area * ratio))
    if h <= height and w <= width:
      top = rng.integers(0, height - h + 1)
      left = rng.integers(0, width - w + 1)
      expected.append((top, left, h, w))
  # The standard error of 20,000 samples is about 1% of the standard deviation.
  spread = np.std(expected, axis=0)
  np.testing.assert_array_less(
      np.abs(found.mean(0) - np.mean(expected, axis=0)) / spread, 0.05
  )
  np.testing.assert_allclose(found.std(0), spread, rtol=0.05)


@pytest.mark.parametrize(
    ('shape', 'expected'),
    [
        ((400, 20), (186.0, 0.0, 27.0, 20.0)),
        ((20, 400), (0.0, 186.0, 20.0, 27.0)),
    ],
)
def test_an_image_without_a_fitting_box_gets_a_central_one(shape, expected):
  found = _random_boxes(
      jax.random.key(0),
      count=4,
      height=shape[0],
      width=shape[1],
      scale=(0.9, 1.0),
  )
  np.testing.assert_array_equal(found, [expected] * 4)
