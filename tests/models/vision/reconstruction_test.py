"""Images of predicted patches invert the targets of the loss."""

import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.models.vision import mae, reconstruction, vit

PATCH = 4


def test_a_perfect_prediction_gives_the_input_images():
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.normal(0.3, 2.0, (2, 16, 16, 3)), jnp.float32)
  patches = np.asarray(vit.patchify(images, PATCH))
  mean = patches.mean(-1, keepdims=True)
  std = np.sqrt(patches.var(-1, ddof=1, keepdims=True) + 1e-6)
  mask = jnp.ones(patches.shape[:2], bool)
  for norm_pix, pred in ((True, (patches - mean) / std), (False, patches)):
    pred = jnp.asarray(pred)
    # A perfect prediction has a loss of 0.
    loss = mae.reconstruction_loss(
        images, pred, mask, patch_size=PATCH, norm_pix=norm_pix
    )
    np.testing.assert_allclose(loss, 0.0, atol=1e-10)
    found = reconstruction.predicted_images(
        images, pred, patch_size=PATCH, norm_pix=norm_pix
    )
    np.testing.assert_allclose(found, images, atol=1e-5)


@pytest.mark.parametrize('hidden', [0, 5, 15])
def test_hidden_pixels_are_the_pixels_of_the_patch(hidden):
  mask = np.zeros((1, 16), bool)
  mask[0, hidden] = True
  pixels = np.asarray(reconstruction.hidden_pixels(jnp.asarray(mask), PATCH))
  row, column = PATCH * (hidden // 4), PATCH * (hidden % 4)
  expected = np.zeros((1, 16, 16, 1), bool)
  expected[:, row : row + PATCH, column : column + PATCH] = True
  np.testing.assert_array_equal(pixels, expected)
