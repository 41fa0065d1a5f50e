"""Resampling against Pillow, flips against NumPy, boxes against their law."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from abaw_jax.training import augment

_crop_resize = jax.jit(augment.crop_resize, static_argnames='size')
_resize = jax.jit(augment.resize, static_argnames='size')
_random_boxes = jax.jit(
    augment.random_boxes, static_argnames=('count', 'height', 'width', 'scale')
)


def _images(count=3, height=40, width=56, seed=0):
  rng = np.random.default_rng(seed)
  # Noise at full contrast: every filter tap and every overshoot shows.
  return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _pillow(image, box, size):
  top, left, height, width = box
  # Channels one by one in Pillow's float mode, because with 8 bits it rounds,
  # and clips, after each of its two passes.
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
  boxes = np.float32([[0, 0, 40, 56], [3, 5, 20, 31], [7.25, 30.5, 32.75, 25]])
  got = _crop_resize(jnp.asarray(images), jnp.asarray(boxes), size=size)
  for image, box, out in zip(images, boxes, got, strict=True):
    np.testing.assert_allclose(out, _pillow(image, box, size), atol=1e-2)


@pytest.mark.parametrize('size', [24, 224])
def test_resize_equals_pillow(size):
  images = _images()
  got = _resize(jnp.asarray(images), size=size)
  for image, out in zip(images, got, strict=True):
    np.testing.assert_allclose(
        out, _pillow(image, (0, 0, 40, 56), size), atol=1e-2
    )


def test_resize_to_the_same_size_changes_nothing():
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


def test_a_crop_of_everything_is_the_image():
  images = _images(height=32, width=32)
  crop = functools.partial(
      augment.random_resized_crop, size=32, scale=(1.0, 1.0), ratio=(1.0, 1.0)
  )
  out = jax.jit(crop)(jax.random.key(0), jnp.asarray(images))
  np.testing.assert_array_equal(out, np.float32(images))


def test_boxes_follow_the_law():
  height, width = 120, 160
  boxes = _random_boxes(
      jax.random.key(0), count=20000, height=height, width=width
  )
  top, left, h, w = np.asarray(boxes).T
  np.testing.assert_array_equal(boxes, np.round(boxes))
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
  boxes = np.asarray(
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
      np.abs(boxes.mean(0) - np.mean(want, axis=0)) / spread, 0.05
  )
  np.testing.assert_allclose(boxes.std(0), spread, rtol=0.05)


@pytest.mark.parametrize(
    ('shape', 'want'),
    [
        ((400, 20), (186.0, 0.0, 27.0, 20.0)),
        ((20, 400), (0.0, 186.0, 20.0, 27.0)),
    ],
)
def test_an_image_no_box_fits_falls_back_to_its_centre(shape, want):
  boxes = _random_boxes(
      jax.random.key(0),
      count=4,
      height=shape[0],
      width=shape[1],
      scale=(0.9, 1.0),
  )
  np.testing.assert_array_equal(boxes, [want] * 4)


def test_flips_are_mirrors_of_about_half():
  images = jnp.asarray(_images(count=200, height=4, width=5))
  out = augment.random_flip(jax.random.key(0), images)
  assert out.dtype == jnp.uint8
  same = (out == images).all(axis=(1, 2, 3))
  mirrored = (out == np.asarray(images)[:, :, ::-1]).all(axis=(1, 2, 3))
  assert (same ^ mirrored).all()
  assert 70 < mirrored.sum() < 130


def test_normalize_uses_the_scale_of_0_to_1():
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
def test_without_a_crop_training_sees_the_whole_face(height):
  images = _images(height=height, width=height)
  ours = augmentation()
  expected = [_pillow(x, (0, 0, height, height), 32) for x in images]
  expected = (np.stack(expected) / 255.0 - ours.mean) / ours.std
  for got in (
      jax.jit(ours.train)(jax.random.key(0), jnp.asarray(images)),
      jax.jit(ours.evaluate)(jnp.asarray(images)),
  ):
    assert got.shape == (3, 32, 32, 3)
    # 0.01 grey levels, as above.
    np.testing.assert_allclose(got, expected, atol=1e-2 / 255 / 0.2)


@pytest.mark.parametrize('height', [32, 48])
def test_crops_have_the_size_of_the_model(height):
  images = jnp.asarray(_images(height=height, width=height))
  crop = jax.jit(augmentation(crop_scale=0.2, flip=True).train)
  first, again = crop(jax.random.key(0), images), crop(
      jax.random.key(1), images
  )
  assert first.shape == again.shape == (3, 32, 32, 3)
  assert np.abs(first - again).max() > 0.1


def test_faces_of_the_size_of_the_model_are_not_resampled():
  images = jnp.asarray(_images(height=32, width=32))
  for see in (
      lambda: augmentation().evaluate(images),
      lambda: augmentation().train(jax.random.key(0), images),
  ):
    assert 'dot_general' not in str(jax.make_jaxpr(see)())


def test_normalised_images_go_back_to_pixels():
  images = _images(height=32, width=32)
  ours = augmentation()
  np.testing.assert_array_equal(
      ours.pixels(ours.evaluate(jnp.asarray(images))), images
  )


def test_the_key_alone_decides():
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
