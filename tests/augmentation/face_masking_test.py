"""Masks of regions of aligned faces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.augmentation import augment, face_masking
from abaw_jax.core import errors
from abaw_jax.faces import alignment

# Eyes and corners of the mouth of aligned faces of 112 pixels: x and y.
EYES, MOUTH = alignment.ARCFACE[:2], alignment.ARCFACE[3:]


def _masked(names, probability=1.0, count=40, size=112):
  """Returns where the images are masked, bool [b, h, w]."""
  images = jnp.zeros((count, size, size, 3), jnp.uint8)
  found = jax.jit(
      lambda key: face_masking.mask(
          key,
          images,
          probability=probability,
          names=names,
          fill=(200, 100, 50),
      )
  )(jax.random.key(0))
  assert found.dtype == np.uint8
  masked = np.asarray(found[..., 0]) == 200
  expected = masked[..., None] * np.array([200, 100, 50])
  np.testing.assert_array_equal(found, expected)
  return masked


def test_regions_hide_the_landmarks_that_they_name():
  hidden = {}
  for name in face_masking.REGIONS:
    masks = _masked((name,), count=2)
    assert np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks, masks[:, :, ::-1])  # as for mirrored faces
    hidden[name] = [
        [bool(masks[0, int(y), int(x)]) for x, y in points]
        for points in (EYES, MOUTH)
    ]
  both, none = [True, True], [False, False]
  assert hidden == {
      'upper': [both, none],
      'lower': [none, both],
      'eyes': [both, none],
      'mouth': [none, both],
  }


def test_one_region_is_drawn_for_a_share_of_the_images():
  masks = _masked(('eyes', 'mouth'), probability=0.5, count=400, size=14)
  eyes = masks[:, 6, 4]
  mouth = masks[:, 11, 7]
  assert not np.any(eyes & mouth)
  np.testing.assert_allclose(np.mean(eyes), 0.25, atol=0.07)
  np.testing.assert_allclose(np.mean(mouth), 0.25, atol=0.07)


def test_blocks_are_cells_of_a_grid():
  masks = _masked(('blocks',), count=100, size=8)
  cells = masks.reshape(100, 4, 2, 4, 2)
  np.testing.assert_array_equal(cells[:, :, :1, :, :1] | cells, cells)
  assert np.all(cells == cells[:, :, :1, :, :1])
  np.testing.assert_allclose(masks.mean(), 0.25, atol=0.04)


def test_masks_have_the_mean_colour_and_move_with_the_crop():
  options = {
      'size': 16, 'mean': (0.4, 0.4, 0.4), 'std': (0.2, 0.2, 0.2), 'flip': False
  }  # fmt: skip
  images = jnp.full((2, 16, 16, 3), 255, jnp.uint8)
  plain, masked = (
      augment.Augmentation(
          **options, crop_scale=1.0, mask=p, mask_regions='lower'
      )
      for p in (0.0, 1.0)
  )
  key = jax.random.key(0)
  assert jnp.all(plain.train(key, images) == plain.evaluate(images))
  found = masked.train(key, images)
  np.testing.assert_allclose(found[:, 11:], 0.0, atol=1e-6)
  np.testing.assert_array_equal(found[:, :10], plain.evaluate(images)[:, :10])


@pytest.mark.parametrize(
    ('regions', 'message'),
    [
        ('nose', 'upper, lower, eyes, mouth, blocks'),
        ('', 'mask_regions is empty'),
    ],
)
def test_wrong_regions_give_one_line(regions, message):
  with pytest.raises(errors.InputError, match=message):
    augment.Augmentation(
        size=8, mean=(0.5,) * 3, std=(0.2,) * 3, crop_scale=1.0, flip=False,
        mask=0.1, mask_regions=regions,
    )  # fmt: skip
