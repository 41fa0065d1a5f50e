"""PSNR and SSIM equal those of scikit-image."""

import jax.numpy as jnp
import numpy as np
import pytest
from skimage import metrics

from abaw_jax.scoring import image_quality


@pytest.mark.parametrize(('height', 'width'), [(11, 11), (40, 56)])
@pytest.mark.parametrize('noise', [0.0, 0.02, 0.3])
def test_scores_equal_scikit_image(height, width, noise):
  rng = np.random.default_rng(0)
  originals = rng.random((3, height, width, 3), np.float32)
  changed = originals + noise * rng.normal(size=originals.shape)
  changed = np.clip(changed, 0, 1).astype(np.float32)
  pairs = list(zip(changed, originals, strict=True))
  similarity = [
      metrics.structural_similarity(
          x,
          y,
          data_range=1.0,
          channel_axis=-1,
          gaussian_weights=True,
          sigma=1.5,
          use_sample_covariance=False,
      )
      for x, y in pairs
  ]
  images, originals = jnp.asarray(changed), jnp.asarray(originals)
  found = image_quality.ssim(images, originals)
  np.testing.assert_allclose(found, similarity, atol=1e-5)
  ratios = [100.0] * 3
  if noise:
    ratios = [
        metrics.peak_signal_noise_ratio(y, x, data_range=1.0) for x, y in pairs
    ]
  found = image_quality.psnr(images, originals)
  np.testing.assert_allclose(found, ratios, rtol=1e-5)


def test_ssim_keeps_its_digits_where_images_are_almost_constant():
  images = np.full((1, 24, 24, 3), 0.9, np.float32)
  images[:, ::2] += 1e-3
  originals = np.full((1, 24, 24, 3), 0.9, np.float32)
  expected = metrics.structural_similarity(
      np.float64(images[0]),
      np.float64(originals[0]),
      data_range=1.0,
      channel_axis=-1,
      gaussian_weights=True,
      use_sample_covariance=False,
  )
  found = image_quality.ssim(jnp.asarray(images), jnp.asarray(originals))
  np.testing.assert_allclose(found, [expected], atol=1e-5)
