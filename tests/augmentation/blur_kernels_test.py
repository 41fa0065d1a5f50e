"""Kernels equal those that NumPy and SciPy make."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from abaw_jax.augmentation import blur_kernels, draws


def padded(kernel: np.ndarray) -> np.ndarray:
  """Returns a kernel of any side with zeros up to 21, divided by its sum."""
  return np.pad(kernel / kernel.sum(), (21 - len(kernel)) // 2)


def grid(size: int) -> np.ndarray:
  """Returns x and y of each pixel from the centre, [size, size, 2]."""
  places = np.arange(size) - size // 2
  return np.stack(np.meshgrid(places, places), -1)


@pytest.mark.parametrize('size', [7, 13, 21])
@pytest.mark.parametrize(
    ('beta', 'plateau'), [(1.0, False), (0.6, False), (3.5, False), (1.7, True)]
)
def test_a_bell_is_a_function_of_the_mahalanobis_distance(size, beta, plateau):
  sigmas, angle = (2.5, 0.8), 0.7
  turn = np.array(
      [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
  )
  covariance = turn @ np.diag(np.square(sigmas)) @ turn.T
  ours = blur_kernels.bell(
      size=size,
      sigma_x=sigmas[0],
      sigma_y=sigmas[1],
      radians=jnp.float32(angle),
      beta=beta,
      plateau=plateau,
  )
  points = grid(size)
  inverse = np.linalg.inv(covariance)
  distance = np.einsum('xyi,ij,xyj->xy', points, inverse, points)
  expected = (
      1 / (1 + distance**beta) if plateau else np.exp(-(distance**beta) / 2)
  )
  np.testing.assert_allclose(ours, padded(expected), atol=1e-6)
  if beta == 1.0:
    normal = stats.multivariate_normal(cov=covariance).pdf(points)
    np.testing.assert_allclose(ours, padded(normal), atol=1e-6)


@pytest.mark.parametrize('size', [7, 21])
@pytest.mark.parametrize('cutoff', [np.pi / 5, 2.0, np.pi])
def test_a_sinc_filter_has_a_bessel_function(size, cutoff):
  radius = np.linalg.norm(grid(size), axis=-1)
  with np.errstate(invalid='ignore'):
    expected = cutoff * special.j1(cutoff * radius) / (2 * np.pi * radius)
  expected[size // 2, size // 2] = cutoff**2 / (4 * np.pi)
  ours = blur_kernels.sinc(size=size, cutoff=jnp.float32(cutoff))
  np.testing.assert_allclose(ours, padded(expected), atol=1e-6)


def test_the_bessel_function_is_exact_in_its_range():
  x = jnp.linspace(-45.0, 45.0, 1001)
  np.testing.assert_allclose(
      blur_kernels.bessel_j1(x), special.j1(np.asarray(x)), atol=2e-6
  )


def test_an_index_and_a_size_have_their_probabilities():
  probs = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
  count = 20_000

  def draw(numbers):
    chosen = draws.Draws(numbers)
    return chosen.index(probs), blur_kernels.random_size(chosen)

  numbers = jax.random.uniform(jax.random.key(0), (count, 2))
  kinds, sizes = jax.jit(jax.vmap(draw))(numbers)
  for found, values, expected in (
      (kinds, range(6), probs),
      (sizes, blur_kernels.SIZES, [1 / 8] * 8),
  ):
    shares = [np.mean(np.asarray(found) == value) for value in values]
    # Five standard deviations of a share.
    np.testing.assert_allclose(shares, expected, atol=5 * 0.5 / count**0.5)


def test_a_random_kernel_has_its_shape_and_its_share_of_sinc_filters():
  count = 2000
  options = {
      'sigma': (0.2, 3.0),
      'generalized_beta': (0.5, 4.0),
      'plateau_beta': (1.0, 2.0),
  }

  def kernels(kind, sinc_prob):
    probs = [0.0] * 6
    probs[kind] = 1.0
    make = functools.partial(
        blur_kernels.random_kernel, sinc_prob=sinc_prob, probs=probs, **options
    )
    numbers = jax.random.uniform(jax.random.key(1), (count, 9))
    found = jax.jit(jax.vmap(lambda x: make(draws.Draws(x))))(numbers)
    return np.asarray(found)

  iso, aniso = kernels(0, 0.1), kernels(3, 0.0)
  for found in (iso, aniso):
    np.testing.assert_allclose(found.sum((1, 2)), 1.0, atol=1e-5)
    np.testing.assert_allclose(found, found[:, ::-1, ::-1], atol=1e-6)
  turned = np.abs(iso - iso.transpose(0, 2, 1)).max((1, 2))
  assert turned.max() < 1e-6
  assert (
      np.mean(np.abs(aniso - aniso.transpose(0, 2, 1)).max((1, 2)) > 1e-3) > 0.8
  )
  # Only a sinc filter has negative values.
  share = np.mean(iso.min((1, 2)) < 0)
  assert abs(share - 0.1) < 5 * (0.1 * 0.9 / count) ** 0.5
