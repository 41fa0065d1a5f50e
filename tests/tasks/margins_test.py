"""Margins equal operations on angles; the loss equals NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.tasks import margins

ANGLES = np.linspace(0.0, np.pi, 181)


def test_arcface_adds_the_margin_to_angles_up_to_pi():
  got = margins.arcface(jnp.float32(np.cos(ANGLES)), 0.5)
  within = np.less(ANGLES, np.pi - 0.5)
  # The square root of the rounding error of 1 - 1 is 3e-4.
  np.testing.assert_allclose(
      got[within], np.cos(ANGLES + 0.5)[within], atol=2e-4
  )
  beyond = np.cos(ANGLES) - 0.5 * np.sin(0.5)
  np.testing.assert_allclose(got[~within], beyond[~within], atol=1e-6)
  # A larger angle has a smaller logit; cos(angle + 0.5) would increase again.
  assert (np.diff(got) < 0).all()


@pytest.mark.parametrize('name', ['arcface', 'cosface'])
def test_an_easy_margin_does_not_change_large_angles(name):
  cosines = jnp.float32(np.cos(ANGLES))
  margin = margins.MARGINS[name]
  easy = margin(cosines, 0.4, easy_margin=True)
  hard = margin(cosines, 0.4)
  np.testing.assert_array_equal(easy[cosines > 0], hard[cosines > 0])
  np.testing.assert_array_equal(easy[cosines <= 0], cosines[cosines <= 0])


def test_cosface_subtracts_from_the_cosine():
  np.testing.assert_allclose(
      margins.cosface(jnp.float32([1.0, 0.0, -1.0]), 0.35), [0.65, -0.35, -1.35]
  )


def test_gradients_are_finite_at_cosines_of_1():
  ends = jnp.float32([1.0, -1.0, 1.0 + 1e-6, 0.0])
  slope = jax.vmap(jax.grad(lambda x: margins.arcface(x, 0.5)))(ends)
  assert np.isfinite(slope).all()
  # d cos(t + m) / d cos(t) = sin(t + m) / sin(t).
  np.testing.assert_allclose(slope[3], np.sin(np.pi / 2 + 0.5), rtol=1e-5)


def test_the_loss_ignores_padded_columns():
  rng = np.random.default_rng(0)
  logits = rng.normal(0, 30, (5, 8)).astype(np.float32)
  labels = np.array([0, 4, 2, 4, 1])
  target = labels[:, None] == np.arange(8)
  loss = jax.value_and_grad(
      lambda x: margins.cross_entropy(
          x, jnp.asarray(target), num_classes=5
      ).sum()
  )
  got, slope = loss(jnp.asarray(logits))
  shifted = np.exp(np.float64(logits[:, :5]))
  probs = shifted / shifted.sum(axis=1, keepdims=True)
  np.testing.assert_allclose(
      got, -np.log(probs[np.arange(5), labels]).sum(), rtol=1e-5
  )
  np.testing.assert_allclose(slope[:, :5], probs - target[:, :5], atol=1e-5)
  np.testing.assert_array_equal(slope[:, 5:], 0)
