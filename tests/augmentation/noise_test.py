"""Noise has the statistics of SciPy's distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from abaw_jax.augmentation import noise


def normal(*shape: int) -> jax.Array:
  return jax.random.normal(jax.random.key(0), shape)


@pytest.mark.parametrize('mean', [0.0, 0.01, 0.7, 3.0, 8.0])
def test_small_poisson_numbers_are_the_quantiles(mean):
  numbers = normal(20_000)
  ours = noise.poisson_quantile(numbers, jnp.full_like(numbers, mean))
  expected = stats.poisson.ppf(stats.norm.cdf(np.float64(numbers)), mean)
  # Rounding moves few quantiles over a step.
  assert np.mean(np.asarray(ours) != expected) < 1e-3


@pytest.mark.parametrize('mean', [8.5, 30.0, 256.0])
def test_large_poisson_numbers_have_nearly_their_probabilities(mean):
  count = 100_000
  numbers = jnp.float32(stats.norm.ppf((np.arange(count) + 0.5) / count))
  ours = noise.poisson_quantile(numbers, jnp.full_like(numbers, mean))
  shares = np.bincount(np.int64(ours), minlength=400) / count
  differing = np.abs(shares - stats.poisson.pmf(np.arange(400), mean)).sum() / 2
  assert differing < 3e-3
  assert np.mean(ours) == pytest.approx(mean, rel=1e-4)
  assert np.var(ours) == pytest.approx(mean, rel=0.01)


def test_poisson_noise_scales_with_the_number_of_values():
  length = 20
  levels = np.random.default_rng(0).integers(60, 100, (length, length, 3))
  whole = np.full((32, 32, 3), 200, levels.dtype)
  whole[:length, :length] = levels
  image = jnp.float32(whole / 255)
  numbers = normal(32, 32, 3)
  added = noise.poisson(
      numbers, image, scale=1.7, is_grey=jnp.bool_(False), length=length
  )
  steps = 64  # 40 values, rounded up to a power of 2
  counts = np.asarray(image + added / 1.7) * steps
  np.testing.assert_allclose(counts, np.round(counts), atol=1e-3)
  expected = stats.poisson.ppf(
      stats.norm.cdf(np.float64(numbers)), np.float64(whole) / 255 * steps
  )
  inside = np.s_[:length, :length]
  assert np.mean(np.abs(counts[inside] - expected[inside]) > 0.5) < 0.02


def test_values_outside_the_image_do_not_count():
  levels = jnp.arange(12.0 * 12 * 3).reshape(12, 12, 3) % 256
  for length in (1, 5, 12):
    expected = len(np.unique(levels[:length, :length]))
    assert noise.distinct(levels, length) == expected


def test_grey_noise_is_that_of_the_luminance():
  image = jax.random.uniform(jax.random.key(1), (64, 64, 3))
  grey = jnp.bool_(True)
  numbers = normal(64, 64, 3)
  for added in (
      noise.gaussian(numbers, sigma=20.0, is_grey=grey),
      noise.poisson(numbers, image, scale=1.0, is_grey=grey, length=64),
  ):
    np.testing.assert_array_equal(added[..., :1] + 0 * added, added)
  gaussian = noise.gaussian(numbers, sigma=20.0, is_grey=jnp.bool_(False))
  assert jnp.std(gaussian) == pytest.approx(20 / 255, rel=0.03)
  correlation = np.corrcoef(np.asarray(gaussian).reshape(-1, 3).T)
  assert np.abs(correlation - np.eye(3)).max() < 0.1
