"""Batch normalisation over eight devices equals that on one device."""

import pytest

from tests.training import runs

SCRIPT = """
import jax
import numpy as np
from abaw_jax.distributed import sharding
from abaw_jax.models.convnets import densenet, iresnet
from tests.porting.layouts import torch_networks

NETWORKS = {
    'iresnet': iresnet.IResNet((1, 1, 1, 1), image_size=16, dim=8),
    'densenet': densenet.DenseNet((1, 1), 4, 8, image_size=32),
}

def compare(path, expected, found):
  # Devices sum the terms in another order.
  np.testing.assert_allclose(
      found,
      expected,
      rtol=1e-4,
      atol=1e-5 * np.abs(expected).max() + 1e-6,
      err_msg=f'{name} {sharding.path_name(path)}',
  )

mesh = sharding.make_mesh(fsdp=2)
for name, model in NETWORKS.items():
  images = torch_networks.images(model.image_size, 16)
  rng = np.random.default_rng(0)
  weights = torch_networks.variables({
      path: rng.normal(0.0, 0.1, shape).astype('f4')
      for path, shape in torch_networks.shapes(model).items()
  })
  one = torch_networks.step(model, weights, images)
  split = jax.device_put(images, sharding.over_batch(mesh))
  assert split.addressable_shards[0].data.shape[0] == 2
  with jax.set_mesh(mesh):
    copies = jax.device_put(weights, sharding.replicated(mesh))
    eight = torch_networks.step(model, copies, split)
  assert all(len(x.devices()) == 8 for x in jax.tree.leaves(eight))
  jax.tree_util.tree_map_with_path(compare, one, eight)
print(*NETWORKS)
"""


def test_loss_gradients_and_statistics_equal_one_device():
  pytest.importorskip('torch')  # torch_networks imports it
  process = runs.start_code(SCRIPT, JAX_NUM_CPU_DEVICES='8')
  status, out, error = runs.finish(process)
  assert status == 0, error
  assert out.split() == ['iresnet', 'densenet']
