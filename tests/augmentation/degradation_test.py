"""The pipeline equals OpenCV's steps for fixed choices, and draws as published."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.augmentation import blur_kernels, canvas, degradation
from abaw_jax.configs import sr
from abaw_jax.core import errors

COUNT = 2000
SECTION = sr.get_config().degradation.to_dict()
PUBLISHED = degradation.Degradation.from_config(SECTION, 4)


def images(count: int, side: int = 32) -> np.ndarray:
  rng = np.random.default_rng(0)
  pixels = rng.random((count, side, side, 3), np.float32)
  return np.stack([cv2.GaussianBlur(x, (0, 0), 2) for x in pixels])


@pytest.fixture(name='drawn', scope='module')
def _drawn():
  """Returns COUNT choices of both stages and of the end."""
  numbers = jax.random.uniform(
      jax.random.key(0), (COUNT, degradation.STAGE_NUMBERS)
  )

  def draw(numbers):
    return (
        degradation.stage_choices(numbers, PUBLISHED.first),
        degradation.stage_choices(numbers, PUBLISHED.second),
        degradation.final_choices(
            numbers[: degradation.FINAL_NUMBERS], PUBLISHED.final_sinc_prob
        ),
    )

  return jax.device_get(jax.jit(jax.vmap(draw))(numbers))


def check_share(found: np.ndarray, expected: float) -> None:
  spread = (expected * (1 - expected) / COUNT) ** 0.5
  # The narrowest kernels are the identity in float32.
  assert abs(np.mean(found) - expected) < 4 * spread + 0.01


def is_identity(choices) -> np.ndarray:
  return (choices.kernel == np.asarray(blur_kernels.identity())).all((1, 2))


@pytest.mark.parametrize(
    ('number', 'kept', 'larger', 'smaller'),
    [(0, 0.0, 0.2, 0.7), (1, 0.2, 0.3, 0.4)],
)
def test_stages_draw_with_the_published_probabilities(
    drawn, number, kept, larger, smaller
):
  # Wang et al., appendix, and the options of the published training.
  choices = drawn[number]
  least, most = ((0.15, 1.5), (0.3, 1.2))[number]
  sigma, scale = ((30, 3), (25, 2.5))[number]
  check_share(is_identity(choices), kept)
  check_share(choices.kernel.min((1, 2)) < 0, 0.1 * (1 - kept))
  check_share(choices.factor > 1, larger)
  check_share(choices.factor < 1, smaller)
  for method in range(len(canvas.FILTERS)):
    check_share(choices.method == method, 1 / 3)
  check_share(choices.is_gaussian, 0.5)
  check_share(choices.is_grey, 0.4)
  for found, low, high in (
      (choices.factor, least, most),
      (choices.sigma, 1, sigma),
      (choices.poisson_scale, 0.05, scale),
      (choices.quality, 30, 95),
  ):
    assert low <= found.min() < low + 0.02 * (high - low)
    assert high >= found.max() > high - 0.02 * (high - low)
  down = choices.factor[choices.factor < 1]
  assert down.mean() == pytest.approx((1 + least) / 2, abs=0.03)


def test_the_end_draws_with_the_published_probabilities(drawn):
  last = drawn[2]
  check_share(is_identity(last), 0.2)
  check_share(last.is_jpeg_last, 0.5)
  for method in range(len(canvas.FILTERS)):
    check_share(last.method == method, 1 / 3)


@pytest.mark.parametrize('factor', [0.6, 1.0, 1.3])
def test_a_stage_equals_opencv(factor):
  image = images(1)[0]
  kernel = blur_kernels.bell(
      size=13,
      sigma_x=1.5,
      sigma_y=1.5,
      radians=0.0,
      beta=1.0,
      plateau=False,
  )
  choices = degradation.Choices(
      kernel=kernel,
      factor=jnp.float32(factor),
      method=1,
      is_gaussian=jnp.bool_(True),
      is_grey=jnp.bool_(False),
      sigma=4.0,
      poisson_scale=1.0,
      quality=95.0,
  )
  normal = jax.random.normal(jax.random.key(3), (48, 48, 3))
  found, length = degradation.blur_resize_noise(
      choices, normal, jnp.asarray(image), 32, 32
  )
  side = int(np.float32(32) * np.float32(factor))
  blurred = cv2.GaussianBlur(image, (13, 13), 1.5)
  resized = cv2.resize(blurred, (side, side), interpolation=cv2.INTER_LINEAR)
  added = np.asarray(normal)[:side, :side]
  expected = np.clip(resized + added * 4 / 255, 0, 1)
  assert length == side
  np.testing.assert_allclose(found[:side, :side], expected, atol=1e-5)


def test_images_do_not_depend_on_each_other():
  keys = jax.random.split(jax.random.key(0), 6)
  pixels = images(6)
  run = jax.jit(PUBLISHED)
  small = np.asarray(run(keys, pixels))
  assert small.shape == (6, 8, 8, 3)
  np.testing.assert_allclose(small * 255, np.round(small * 255), atol=1e-4)
  assert 0 <= small.min() <= small.max() <= 1
  # Another batch of the same size, so that the program is the same.
  order = np.array([2, 0, 0, 4, 5, 3])
  np.testing.assert_array_equal(run(keys[order], pixels[order]), small[order])
  changed = np.abs(small - np.asarray(run(keys[::-1], pixels)))
  assert (changed.max((1, 2, 3)) > 0.01).all()
  # The images are still there, under noise and blur.
  area = np.stack(
      [cv2.resize(x, (8, 8), interpolation=cv2.INTER_AREA) for x in pixels]
  )
  np.testing.assert_allclose(small.mean((1, 2)), area.mean((1, 2)), atol=0.25)


def test_without_blur_noise_and_resize_the_result_is_that_of_a_small_resize():
  stage = PUBLISHED.first._replace(
      blur_prob=0.0,
      resize_probs=(0, 0, 1),
      gaussian_prob=1.0,
      noise_sigma=(0, 0),
      jpeg_quality=(100, 100),
  )
  quiet = degradation.Degradation(
      scale=2, first=stage, second=stage, final_sinc_prob=0.0
  )
  pixels = images(4)
  small = jax.jit(quiet)(jax.random.split(jax.random.key(0), 4), pixels)
  for image, found in zip(pixels, small, strict=True):
    expected = cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA)
    # Three rounds of JPEG with halved chroma, and other filters, remain.
    assert np.abs(found - expected).mean() < 0.02


def test_sharpening_equals_opencv():
  image = images(1, side=40)[0]
  weights = cv2.getGaussianKernel(51, 0)
  kernel = weights @ weights.T
  residual = image - cv2.filter2D(image, -1, kernel)
  mask = np.float32(np.abs(residual) * 255 > 10)
  assert 0.1 < mask.mean() < 0.9
  mask = cv2.filter2D(mask, -1, kernel)
  sharp = np.clip(image + 0.5 * residual, 0, 1)
  np.testing.assert_allclose(
      degradation.sharpen(jnp.asarray(image[None]))[0],
      mask * sharp + (1 - mask) * image,
      atol=1e-5,
  )


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('blur_sigma', (3.0, 0.2), 'swap'),
        ('resize_range', (0.5, 0.9), 'around 1'),
        ('kernel_probs', (0.0,) * 6, 'positive'),
    ],
)
def test_a_wrong_range_is_named(key, value, words):
  section = SECTION | {'second': SECTION['second'] | {key: value}}
  with pytest.raises(errors.InputError, match=f'second.{key}.*{words}'):
    degradation.Degradation.from_config(section, 4)
