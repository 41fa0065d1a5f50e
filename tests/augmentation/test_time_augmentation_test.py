"""Views are crops and mirror images, as Pillow makes them."""

import jax.numpy as jnp
import numpy as np
import PIL.Image

from abaw_jax.augmentation import test_time_augmentation

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)


def looks(count, size=16):
  result = test_time_augmentation.views(
      jnp.asarray(IMAGE)[None], count=count, size=size
  )
  return [np.asarray(look[0]) for look in result]


def test_there_are_as_many_as_asked_for():
  for count in test_time_augmentation.COUNTS:
    assert [x.shape for x in looks(count)] == [(16, 16, 3)] * count


def test_the_first_of_two_is_the_whole_and_the_second_its_mirror_image():
  whole, mirrored = looks(2)
  expected = PIL.Image.fromarray(IMAGE).resize((16, 16), PIL.Image.BICUBIC)
  np.testing.assert_allclose(whole, expected, atol=1.0)
  np.testing.assert_array_equal(mirrored, whole[:, ::-1])


def test_five_are_the_corners_and_the_middle():
  # Seven eighths of 32 x 48 pixels are 28 x 42, so 4 and 6 are left over.
  boxes = [(0, 0), (6, 0), (0, 4), (6, 4), (3, 2)]
  for look, (left, top) in zip(looks(5), boxes, strict=True):
    expected = PIL.Image.fromarray(IMAGE).resize(
        (16, 16), PIL.Image.BICUBIC, box=(left, top, left + 42, top + 28)
    )
    np.testing.assert_allclose(look, expected, atol=1.0)


def test_ten_are_these_and_their_mirror_images():
  ten = looks(10)
  for look, mirrored in zip(ten[:5], ten[5:], strict=True):
    np.testing.assert_array_equal(mirrored, look[:, ::-1])
