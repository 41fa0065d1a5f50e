"""RandAugment's operations equal Pillow and SciPy, and are uniformly random."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageEnhance, ImageOps
import pytest
from scipy import ndimage

from abaw_jax.augmentation import rand_augment, warp

NAMES = rand_augment.OPERATIONS

_recolor = jax.jit(rand_augment.recolor, static_argnames='magnitude')
_matrices = jax.jit(rand_augment.matrices, static_argnums=2)
_warp = jax.jit(warp.warp)


def images(count, size=16):
  rng = np.random.default_rng(0)
  return rng.integers(20, 200, (count, size, size, 3), dtype=np.uint8)


def draw(name, count):
  return jnp.full(count, NAMES.index(name))


def recolor(faces, name, strength, magnitude):
  return _recolor(
      jnp.float32(faces),
      draw(name, len(faces)),
      jnp.float32(strength),
      magnitude=magnitude,
  )


@pytest.mark.parametrize(
    ('name', 'enhance'),
    [
        ('brightness', ImageEnhance.Brightness),
        ('saturation', ImageEnhance.Color),
        ('contrast', ImageEnhance.Contrast),
        ('sharpness', ImageEnhance.Sharpness),
    ],
)
def test_enhancements_equal_pillow(name, enhance):
  faces = images(2)
  got = recolor(faces, name, [0.3, -0.3], 9)
  for face, factor, out in zip(faces, (1.27, 0.73), got, strict=True):
    expected = enhance(Image.fromarray(face)).enhance(factor)
    # Pillow rounds the blended image, and rounds the result down.
    np.testing.assert_allclose(out, np.float32(expected), atol=2)


@pytest.mark.parametrize(
    ('name', 'operation', 'tolerance'),
    [
        ('posterize', lambda x: ImageOps.posterize(x, 6), 0),
        ('solarize', lambda x: ImageOps.solarize(x, 127.5), 0),
        ('autocontrast', ImageOps.autocontrast, 1),  # Pillow rounds down
        ('identity', lambda x: x, 0),
        ('rotate', lambda x: x, 0),  # the geometric part comes earlier
    ],
)
def test_other_operations_equal_pillow(name, operation, tolerance):
  faces = images(2)
  got = recolor(faces, name, [0.5, -0.5], 15)
  expected = [np.float32(operation(Image.fromarray(face))) for face in faces]
  np.testing.assert_allclose(got, expected, atol=tolerance)


def test_autocontrast_keeps_a_constant_channel():
  flat = np.full((2, 16, 16, 3), 7.0)
  got = recolor(flat, 'autocontrast', [0.0, 0.0], 15)
  np.testing.assert_array_equal(got, flat)


@pytest.mark.parametrize(
    'operation', ['shear_x', 'shear_y', 'translate_x', 'translate_y', 'rotate']
)
def test_geometric_operations_equal_scipy(operation):
  faces = images(2)
  # Around the corner; rotations around the centre.
  matrix, offset, center = np.eye(2), np.zeros(2), np.zeros(2)  # row, column
  if operation == 'shear_x':
    matrix[1, 0] = 0.3 * 0.3
  elif operation == 'shear_y':
    matrix[0, 1] = 0.3 * 0.3
  elif operation == 'translate_x':
    offset[1] = 0.3 * 16 * 150 / 331
  elif operation == 'translate_y':
    offset[0] = 0.3 * 16 * 150 / 331
  else:
    angle, center = np.deg2rad(9.0), np.full(2, 7.5)
    matrix = np.array(
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    )
  drawn, strength = draw(operation, 2)[None], jnp.float32([[0.3, 0.3]])
  maps = _matrices(drawn, strength, (16, 16))
  got = _warp(jnp.float32(faces), maps)
  for face, out in zip(faces, got, strict=True):
    for channel in range(3):
      expected = ndimage.affine_transform(
          np.float64(face[..., channel]),
          matrix,
          offset + center - matrix @ center,
          order=1,
          mode='grid-constant',
      )
      np.testing.assert_allclose(out[..., channel], expected, atol=0.02)


def test_two_operations_are_one_resampling():
  faces = jnp.float32(images(1))
  # Shifts by full pixels that keep all content, so resampling is exact.
  faces = faces.at[:, :4].set(0).at[:, -4:].set(0)
  faces = faces.at[:, :, :4].set(0).at[:, :, -4:].set(0)
  strength = jnp.float32([[2 / (16 * 150 / 331)], [-1 / (16 * 150 / 331)]])
  drawn = jnp.stack([draw('translate_x', 1), draw('translate_y', 1)])
  maps = _matrices(drawn, strength, (16, 16))
  expected = jnp.roll(faces, (1, -2), axis=(1, 2))
  np.testing.assert_allclose(_warp(faces, maps), expected, atol=1e-2)
  # A rotation after a shift is not a shift after a rotation.
  strength = jnp.float32([[0.3], [1.0]])
  drawn = jnp.stack([draw('translate_x', 1), draw('rotate', 1)])
  both = _matrices(drawn, strength, (16, 16))[0]
  shift, turn = (
      _matrices(drawn[i : i + 1], strength[i : i + 1], (16, 16))[0]
      for i in range(2)
  )
  np.testing.assert_allclose(both, shift @ turn, atol=1e-5)
  assert np.abs(both - turn @ shift).max() > 0.1


def test_operations_are_uniformly_random_for_each_image():
  count = 4000
  drawn, strength = rand_augment.draw(jax.random.key(0), count, 2, magnitude=9)
  assert drawn.shape == strength.shape == (2, count)
  share = np.bincount(drawn.reshape(-1), minlength=len(NAMES)) / drawn.size
  # The standard error of 8,000 samples is 0.3%.
  np.testing.assert_allclose(share, 1 / len(NAMES), atol=0.01)
  np.testing.assert_allclose(np.abs(strength), 9 / 30, rtol=1e-6)
  assert abs(np.mean(strength > 0) - 0.5) < 0.02


def test_results_depend_only_on_the_key_and_stay_in_range():
  faces = jnp.float32(images(8))
  augment = jax.jit(
      lambda key: rand_augment.rand_augment(key, faces, count=2, magnitude=30)
  )
  first, again, other = (augment(jax.random.key(i)) for i in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1
  assert (first >= 0).all()
  assert (first <= 255).all()


def test_at_magnitude_0_only_autocontrast_changes_an_image():
  faces = jnp.float32(images(64))
  key = jax.random.key(0)
  augment = jax.jit(
      lambda key: rand_augment.rand_augment(key, faces, count=1, magnitude=0)
  )
  out = augment(key)
  drawn, _ = rand_augment.draw(key, 64, 1, magnitude=0)
  same = np.isclose(out, faces, atol=1e-3).all(axis=(1, 2, 3))
  changed = np.asarray(drawn[0]) == NAMES.index('autocontrast')
  np.testing.assert_array_equal(same, ~changed)
