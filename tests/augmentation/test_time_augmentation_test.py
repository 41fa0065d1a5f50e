"""Views equal Pillow's crops and mirror images."""

import jax.numpy as jnp
import numpy as np
import PIL.Image

from abaw_jax.augmentation import test_time_augmentation

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)


def views(count, size=16):
  result = test_time_augmentation.views(
      jnp.asarray(IMAGE)[None], count=count, size=size
  )
  return [np.asarray(view[0]) for view in result]


def test_the_number_of_views():
  for count in test_time_augmentation.COUNTS:
    assert [x.shape for x in views(count)] == [(16, 16, 3)] * count


def test_two_views_are_the_full_image_and_its_mirror_image():
  full, mirrored = views(2)
  expected = PIL.Image.fromarray(IMAGE).resize((16, 16), PIL.Image.BICUBIC)
  np.testing.assert_allclose(full, expected, atol=1.0)
  np.testing.assert_array_equal(mirrored, full[:, ::-1])


def test_five_views_are_the_corners_and_the_centre():
  # Crops have 28 x 42 of 32 x 48 pixels, so the margins are 4 and 6.
  boxes = [(0, 0), (6, 0), (0, 4), (6, 4), (3, 2)]
  for view, (left, top) in zip(views(5), boxes, strict=True):
    expected = PIL.Image.fromarray(IMAGE).resize(
        (16, 16), PIL.Image.BICUBIC, box=(left, top, left + 42, top + 28)
    )
    np.testing.assert_allclose(view, expected, atol=1.0)


def test_ten_views_are_these_and_their_mirror_images():
  ten = views(10)
  for view, mirrored in zip(ten[:5], ten[5:], strict=True):
    np.testing.assert_array_equal(mirrored, view[:, ::-1])
