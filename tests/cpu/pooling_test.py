"""Max pooling equals PyTorch, also for equal maxima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from abaw_jax.cpu import pooling
from tests.cpu import platforms


@pytest.mark.parametrize('shape', [(2, 8, 8, 3), (1, 7, 10, 2), (1, 1, 2, 1)])
@pytest.mark.parametrize('ties', [False, True])
def test_values_and_gradients_equal_torch(shape, ties):
  rng = np.random.default_rng(0)
  x = rng.standard_normal(shape).astype('f4')
  if ties:
    x = np.round(x)
  theirs = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
  expected = functional.max_pool2d(theirs, 3, 2, 1)
  weights = rng.standard_normal(expected.shape).astype('f4')
  (expected * torch.tensor(weights)).sum().backward()
  out, gradient = jax.vjp(pooling.max_pool, jnp.asarray(x))
  np.testing.assert_array_equal(
      out, expected.detach().numpy().transpose(0, 2, 3, 1)
  )
  found = gradient(jnp.asarray(weights.transpose(0, 2, 3, 1)))[0]
  # Short sums have another order.
  np.testing.assert_allclose(
      found, theirs.grad.numpy().transpose(0, 2, 3, 1), atol=1e-6
  )


def test_the_cpu_form_equals_the_default_form():
  x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 7, 8, 3)), 'f4')
  maxima, gradient = jax.vjp(pooling._default, x)
  found, shifted = jax.vjp(pooling.max_pool, x)
  np.testing.assert_array_equal(found, maxima)
  np.testing.assert_allclose(shifted(maxima), gradient(maxima), atol=1e-6)


@pytest.mark.parametrize('platform', platforms.DEVICES)
def test_only_cpus_use_shifted_maxima(platform):
  text = platforms.lowered(
      jax.grad(lambda x: pooling.max_pool(x).sum()),
      platform,
      jnp.ones((1, 8, 8, 2)),
  )
  assert ('select_and_scatter' in text) is (platform != 'cpu')
