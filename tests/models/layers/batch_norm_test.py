"""Batch normalisation equals torch.nn, with statistics and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.models.layers import batch_norm


@pytest.fixture(name='case')
def _case():
  """Returns (our module, its variables, PyTorch's module with equal values)."""
  rng = np.random.default_rng(0)
  theirs = torch.nn.BatchNorm2d(5, eps=1e-3, momentum=0.3)
  with torch.no_grad():
    for tensor in (*theirs.parameters(), theirs.running_mean):
      tensor.copy_(torch.tensor(rng.normal(size=5)))
    theirs.running_var.copy_(torch.tensor(rng.uniform(0.5, 2.0, size=5)))
  ours = batch_norm.BatchNorm(epsilon=1e-3, momentum=0.3)
  variables = {
      'params': {
          'scale': jnp.array(theirs.weight.detach().numpy()),
          'bias': jnp.array(theirs.bias.detach().numpy()),
      },
      'batch_stats': {
          'mean': jnp.array(theirs.running_mean.numpy()),
          'var': jnp.array(theirs.running_var.numpy()),
      },
  }
  return ours, variables, theirs


def image():
  x = np.random.default_rng(1).normal(2.0, 3.0, (4, 6, 7, 5))
  return jnp.asarray(x, jnp.float32)


def channels_last(x):
  return x.detach().numpy().transpose(0, 2, 3, 1)


def test_training_equals_torch(case):
  ours, variables, theirs = case
  x = image()
  torch_x = torch.tensor(np.transpose(x, (0, 3, 1, 2)), requires_grad=True)
  expected = theirs(torch_x)
  expected.square().sum().backward()

  def loss(params, x):
    out, new = ours.apply(
        variables | {'params': params}, x, train=True, mutable=['batch_stats']
    )
    return jnp.square(out).sum(), (out, new['batch_stats'])

  (d_params, d_x), (out, stats) = jax.grad(loss, (0, 1), has_aux=True)(
      variables['params'], x
  )
  np.testing.assert_allclose(out, channels_last(expected), atol=1e-5)
  np.testing.assert_allclose(stats['mean'], theirs.running_mean, atol=1e-6)
  np.testing.assert_allclose(stats['var'], theirs.running_var, rtol=1e-6)
  np.testing.assert_allclose(d_params['scale'], theirs.weight.grad, rtol=1e-4)
  np.testing.assert_allclose(d_params['bias'], theirs.bias.grad, rtol=1e-4)
  np.testing.assert_allclose(d_x, channels_last(torch_x.grad), atol=1e-4)


def test_evaluation_equals_torch(case):
  ours, variables, theirs = case
  x = image()
  expected = theirs.eval()(torch.tensor(np.transpose(x, (0, 3, 1, 2))))
  out = ours.apply(variables, x, train=False)
  np.testing.assert_allclose(out, channels_last(expected), atol=1e-5)


def test_frozen_statistics_do_not_change(case):
  ours, variables, _ = case
  frozen = ours.clone(frozen=True)
  x = image()
  out, new = frozen.apply(variables, x, train=True, mutable=['batch_stats'])
  np.testing.assert_array_equal(out, ours.apply(variables, x, train=False))
  for name, value in new['batch_stats'].items():
    np.testing.assert_array_equal(value, variables['batch_stats'][name])


def test_initialisation_does_not_update_statistics():
  variables = batch_norm.BatchNorm().init(
      jax.random.key(0), image(), train=True
  )
  np.testing.assert_array_equal(variables['batch_stats']['mean'], np.zeros(5))
  np.testing.assert_array_equal(variables['batch_stats']['var'], np.ones(5))


def test_one_value_per_channel_raises_an_error():
  with pytest.raises(ValueError, match='batch too small'):
    batch_norm.BatchNorm().init(jax.random.key(0), jnp.ones((1, 3)), train=True)


def test_use_scale_false_has_no_scale():
  module = batch_norm.BatchNorm(use_scale=False)
  variables = module.init(jax.random.key(0), image(), train=False)
  assert set(variables['params']) == {'bias'}
