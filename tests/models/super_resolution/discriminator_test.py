"""The discriminator equals PyTorch's, and its FLOPs are those of its layers."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from abaw_jax.models.layers import variables
from abaw_jax.models.super_resolution import discriminator
from tests.tasks import super_resolution_test as torch_weights

WIDTH, SIDE = 4, 16


def test_logits_and_power_iterations_equal_torch():
  model = discriminator.UNetDiscriminator(WIDTH)
  images = jax.random.uniform(jax.random.key(0), (2, SIDE, SIDE, 3))
  weights = variables.init(model, jax.random.key(1), images)
  params, statistics = variables.split(weights)
  twin = torch_weights.discriminator_twin(
      params, statistics[variables.STATISTICS]
  )
  for _ in range(2):
    logits, moved = variables.apply(model, weights, images, train=True)
    expected = twin(torch_weights.to_torch(images)).detach().numpy()
    np.testing.assert_allclose(
        logits, expected.transpose(0, 2, 3, 1), atol=1e-5
    )
    weights = weights | moved
  for name, u in weights[variables.STATISTICS].items():
    expected = getattr(twin, name).weight_u
    np.testing.assert_allclose(u['u'], expected.numpy(), atol=1e-5)


def test_many_iterations_find_the_largest_singular_value():
  layer = discriminator.SpectralConv(6, 3)
  x = jnp.zeros((1, 8, 8, 5)).at[0, 4, 4].set(1.0)
  weights = variables.init(layer, jax.random.key(0), x)
  for _ in range(200):
    out, moved = variables.apply(layer, weights, x, train=True)
    weights = weights | moved
  kernel = np.asarray(weights['kernel'])
  largest = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)[0]
  expected = kernel.sum(2)[::-1, ::-1] / largest
  np.testing.assert_allclose(out[0, 3:6, 3:6], expected, atol=1e-5)
  # Evaluation has the same norm.
  same, _ = variables.apply(layer, weights, x, train=False)
  np.testing.assert_allclose(same, out, atol=1e-6)


def test_flops_are_those_of_the_layers_of_torch():
  total = 0

  def count(layer, inputs, output):
    nonlocal total
    total += 2 * layer.weight[0].numel() * output[0].numel()

  shapes = discriminator.UNetDiscriminator(WIDTH)
  images = jnp.zeros((1, SIDE, SIDE, 3))
  params, statistics = variables.split(
      variables.init(shapes, jax.random.key(1), images)
  )
  twin = torch_weights.discriminator_twin(
      params, statistics[variables.STATISTICS]
  )
  for layer in twin.children():
    layer.register_forward_hook(count)
  twin(torch.zeros(1, 3, SIDE, SIDE))
  assert shapes.flops(SIDE, SIDE) == total
