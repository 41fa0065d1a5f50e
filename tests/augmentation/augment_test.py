"""Augmentation equals Pillow and NumPy; wrong values give a message."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from abaw_jax.augmentation import augment

_crop_resize = jax.jit(augment.crop_resize, static_argnames='size')
_resize = jax.jit(augment.resize, static_argnames='size')


def _images(count=3, height=40, width=56, seed=0):
  rng = np.random.default_rng(seed)
  # Noise with full contrast makes errors of the filter visible.
  return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _pillow(image, box, size):
  top, left, height, width = box
  # One channel at a time in float mode. With 8 bits Pillow rounds and clips
  # after each of its two passes.
  channels = [
      Image.fromarray(channel).resize(
          (size, size),
          Image.Resampling.BICUBIC,
          box=(left, top, left + width, top + height),
      )
      for channel in np.moveaxis(np.float32(image), -1, 0)
  ]
  return np.clip(np.stack([np.asarray(x) for x in channels], -1), 0, 255)


@pytest.mark.parametrize('size', [16, 40, 96])
def test_crop_resize_equals_pillow(size):
  images = _images()
  places = np.float32([[0, 0, 40, 56], [3, 5, 20, 31], [7.25, 30.5, 32.75, 25]])
  got = _crop_resize(jnp.asarray(images), jnp.asarray(places), size=size)
  for image, place, out in zip(images, places, got, strict=True):
    np.testing.assert_allclose(out, _pillow(image, place, size), atol=1e-2)


@pytest.mark.parametrize('size', [24, 224])
def test_resize_equals_pillow(size):
  images = _images()
  got = _resize(jnp.asarray(images), size=size)
  for image, out in zip(images, got, strict=True):
    np.testing.assert_allclose(
        out, _pillow(image, (0, 0, 40, 56), size), atol=1e-2
    )


def test_resize_to_the_same_size_is_the_identity():
  images = _images(height=32, width=32)
  np.testing.assert_array_equal(
      _resize(jnp.asarray(images), size=32), np.float32(images)
  )


def test_resampling_stays_within_0_and_255():
  stripes = np.zeros([1, 32, 32, 3], np.uint8)
  stripes[:, :, ::4] = 255
  out = _resize(jnp.asarray(stripes), size=80)
  assert out.min() == 0
  assert out.max() == 255


def test_a_crop_of_the_full_area_is_the_image():
  images = _images(height=32, width=32)
  crop = functools.partial(
      augment.random_resized_crop, size=32, scale=(1.0, 1.0), ratio=(1.0, 1.0)
  )
  out = jax.jit(crop)(jax.random.key(0), jnp.asarray(images))
  np.testing.assert_array_equal(out, np.float32(images))


def test_flip_mirrors_about_half_of_the_images():
  images = jnp.asarray(_images(count=200, height=4, width=5))
  out = augment.random_flip(jax.random.key(0), images)
  assert out.dtype == jnp.uint8
  same = (out == images).all(axis=(1, 2, 3))
  mirrored = (out == np.asarray(images)[:, :, ::-1]).all(axis=(1, 2, 3))
  assert (same ^ mirrored).all()
  assert 70 < mirrored.sum() < 130


def test_normalize_uses_the_scale_0_to_1():
  mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
  images = _images()
  want = (images / 255.0 - np.array(mean)) / np.array(std)
  got = augment.normalize(jnp.asarray(images), mean, std)
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
  half = augment.normalize(jnp.asarray(images), mean, std, dtype=jnp.bfloat16)
  assert half.dtype == jnp.bfloat16
  # bfloat16 keeps 8 bits.
  np.testing.assert_allclose(np.float32(half), want, rtol=2**-8, atol=1e-2)


def augmentation(**changes):
  fields = {
      'size': 32,
      'mean': (0.485, 0.456, 0.406),
      'std': (0.229, 0.224, 0.225),
      'crop_scale': 1.0,
      'flip': False,
  }
  return augment.Augmentation(**fields | changes)


@pytest.mark.parametrize('height', [32, 48, 20])
def test_without_a_crop_training_reads_the_full_face(height):
  images = _images(height=height, width=height)
  ours = augmentation()
  expected = [_pillow(x, (0, 0, height, height), 32) for x in images]
  expected = (np.stack(expected) / 255.0 - ours.mean) / ours.std
  for got in (
      jax.jit(ours.train)(jax.random.key(0), jnp.asarray(images)),
      jax.jit(ours.evaluate)(jnp.asarray(images)),
  ):
    assert got.shape == (3, 32, 32, 3)
    # 0.01 gray levels, as above.
    np.testing.assert_allclose(got, expected, atol=1e-2 / 255 / 0.2)


@pytest.mark.parametrize('height', [32, 48])
def test_crops_have_the_input_size_of_the_model(height):
  images = jnp.asarray(_images(height=height, width=height))
  crop = jax.jit(augmentation(crop_scale=0.2, flip=True).train)
  first, again = crop(jax.random.key(0), images), crop(
      jax.random.key(1), images
  )
  assert first.shape == again.shape == (3, 32, 32, 3)
  assert np.abs(first - again).max() > 0.1


def test_images_of_the_input_size_are_not_resampled():
  images = jnp.asarray(_images(height=32, width=32))
  for see in (
      lambda: augmentation().evaluate(images),
      lambda: augmentation().train(jax.random.key(0), images),
  ):
    assert 'dot_general' not in str(jax.make_jaxpr(see)())


def test_pixels_inverts_the_normalisation():
  images = _images(height=32, width=32)
  ours = augmentation()
  np.testing.assert_array_equal(
      ours.pixels(ours.evaluate(jnp.asarray(images))), images
  )


def test_augmentation_depends_only_on_the_key():
  images = jnp.asarray(_images())

  @jax.jit
  def augmented(key, images):
    crop_key, flip_key = jax.random.split(key)
    images = augment.random_resized_crop(crop_key, images, size=24)
    return augment.random_flip(flip_key, images)

  first = augmented(jax.random.key(0), images)
  again = augmented(jax.random.key(0), images)
  other = augmented(jax.random.key(1), images)
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1
  assert first.shape == (3, 24, 24, 3)


def test_erased_boxes_have_the_published_distribution():
  count, size = 2000, 32
  images = jnp.full((count, size, size, 1), 7.0)
  erase = jax.jit(augment.random_erase, static_argnames='probability')
  out = np.asarray(erase(jax.random.key(0), images, probability=0.4))
  assert set(np.unique(out)) == {0.0, 7.0}
  gone = out[..., 0] == 0
  # The share of 2,000 draws is known to 1 %.
  assert abs(np.mean(gone.any(axis=(1, 2))) - 0.4) < 0.04
  gone = gone[gone.any(axis=(1, 2))]
  height = gone.any(axis=2).sum(axis=1)
  width = gone.any(axis=1).sum(axis=1)
  area = gone.sum(axis=(1, 2))
  np.testing.assert_array_equal(area, height * width)
  # Sides are rounded to pixels: half a pixel on the smallest side, 2.5.
  share = area / size**2
  assert share.min() >= 0.02 * 0.75
  assert share.max() <= 0.33 * 1.05
  assert abs(share.mean() - 0.175) < 0.01
  assert 0.3 * 0.8 <= (width / height).min() < 0.4
  assert 2.5 < (width / height).max() <= 1 / 0.3 / 0.8
  assert abs(np.log(width / height).mean()) < 0.05


def test_what_is_off_changes_no_bit():
  images = jnp.asarray(_images(height=48, width=48))
  key = jax.random.key(3)
  ours = augmentation(crop_scale=0.3, flip=True)

  @jax.jit
  def before(key, images):
    crop_key, flip_key = jax.random.split(key)
    images = augment.random_resized_crop(
        crop_key, images, size=32, scale=(0.3, 1.0)
    )
    images = augment.random_flip(flip_key, images)
    return augment.normalize(images, ours.mean, ours.std)

  expected = before(key, images)
  np.testing.assert_array_equal(jax.jit(ours.train)(key, images), expected)


def test_new_operations_do_not_change_random_numbers_of_others():
  images = jnp.asarray(_images(count=8, height=32, width=32))
  key = jax.random.key(3)
  expected = np.asarray(jax.jit(augmentation(flip=True).train)(key, images))
  erased = jax.jit(augmentation(flip=True, erase=1.0).train)(key, images)
  same = np.asarray(erased) == expected
  assert (same | (np.asarray(erased) == 0)).all()
  assert not same.all()
