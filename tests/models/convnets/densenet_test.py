"""DenseNet equals PyTorch's: every stage, and a training step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.models.convnets import densenet
from abaw_jax.porting.convnet_layouts import densenet as densenet_layout
from benchmarks.twins import densenet as torch_densenet
from tests.porting.layouts import torch_networks

# Name: (sizes, image size, layout).
NETWORKS = {
    'colour': (
        {'layers': (2, 1), 'growth': 8, 'stem_width': 16},
        32,
        densenet_layout.LAYOUT,
    ),
    'grey': (
        {'layers': (1, 1, 2), 'growth': 4, 'stem_width': 8, 'grey': True},
        32,
        densenet_layout.GREY_LAYOUT,
    ),
}
# Parameters with a classifier of 1000 classes (grey: 8), and 1e9 multiply-adds,
# from torchvision. For the small network Huang et al. publish 0.8 million
# parameters.
PUBLISHED = {
    'densenet_121': (7978856, 2.83),
    'densenet_169': (14149480, 3.36),
    'densenet_100_grey': (pytest.approx(0.8e6, rel=0.05), 0.29),
}


@pytest.fixture(name='case', scope='module', params=NETWORKS)
def _case(request):
  """Returns (our network, its layout, PyTorch's network, our weights)."""
  sizes, image_size, layout = NETWORKS[request.param]
  twin = torch_networks.randomise(torch_densenet.DenseNet(**sizes))
  model = densenet.DenseNet(**sizes, image_size=image_size)
  flat = torch_networks.to_ours(model, layout, twin.state_dict())
  return model, layout, twin, torch_networks.variables(flat)


@pytest.fixture(name='step', scope='module')
def _step(case):
  model, _, _, weights = case
  pixels = torch_networks.images(model.image_size)
  return torch_networks.step(model, weights, pixels)


def test_every_stage_equals_torch(case):
  model, _, twin, weights = case
  torch_networks.assert_same_features(model, weights, twin)


def test_a_training_step_equals_torch(case, step):
  model, layout, twin, _ = case
  torch_networks.assert_same_step(model, layout, twin, step)


@pytest.mark.parametrize('case', ['colour'], indirect=True)
def test_rematerialisation_does_not_change_the_step(case, step):
  model, _, _, weights = case
  pixels = torch_networks.images(model.image_size)
  found = torch_networks.step(model.clone(remat='dots'), weights, pixels)
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
      found,
      step,
  )


@pytest.mark.parametrize('name', densenet.SIZES)
def test_a_network_has_the_published_size(name):
  grey = densenet.SIZES[name]['grey']
  model = densenet.DenseNet(
      **densenet.SIZES[name], image_size=64 if grey else 224
  )
  classes = 8 if grey else 1000
  with torch.device('meta'):
    twin = torch_densenet.DenseNet(**densenet.SIZES[name], num_classes=classes)
  layout = densenet_layout.GREY_LAYOUT if grey else densenet_layout.LAYOUT
  shapes = torch_networks.shapes(model)
  rules = torch_networks.rules(shapes, layout)
  theirs = {
      name: x.numel()
      for name, x in twin.state_dict().items()
      if not name.endswith('num_batches_tracked')
      and not name.startswith('classifier')
  }
  assert theirs == {
      rules[path].name: np.prod(shape) for path, shape in shapes.items()
  }
  count, billions = PUBLISHED[name]
  assert sum(x.numel() for x in twin.parameters()) == count
  head = 2 * model.dim * classes
  flops = torch_networks.counted_flops(twin, model.image_size)
  assert model.flops + head == flops
  assert flops / 2e9 == pytest.approx(billions, abs=0.01)


def test_frozen_stages_keep_their_statistics(case):
  model, _, _, weights = case
  model = model.clone(frozen_stages=2)
  torch_networks.assert_frozen(model, weights, ('stem', 'stage1'))


@pytest.mark.parametrize('case', ['colour'], indirect=True)
def test_bfloat16_is_close_and_the_embedding_is_float32(case):
  model, _, _, weights = case
  pixels = torch_networks.images(model.image_size)
  exact, _ = torch_networks.features(model, weights, pixels)
  half = model.clone(dtype=jnp.bfloat16)
  maps, moved = torch_networks.features(half, weights, pixels)
  assert maps['map'].dtype == jnp.bfloat16
  assert maps['embedding'].dtype == jnp.float32
  assert {x.dtype for x in jax.tree.leaves(moved)} == {jnp.dtype('float32')}
  error = jnp.abs(maps['map'] - exact['map']).mean()
  assert error < 0.03 * jnp.abs(exact['map']).mean()


def test_the_small_network_gives_342_features():
  model = densenet.DenseNet(**densenet.SIZES['densenet_100_grey'])
  assert model.dim == 342


@pytest.mark.parametrize('case', ['grey'], indirect=True)
def test_the_grey_network_reads_only_luminance(case):
  model, _, _, weights = case
  pixels = torch_networks.images(model.image_size, 3)
  embed = jax.jit(lambda x: model.apply(weights, x, train=False))
  luminance = sum(w * pixels[..., i] for i, w in enumerate(densenet.GREY))
  grey = jnp.repeat(luminance[..., None], 3, axis=-1)
  np.testing.assert_allclose(embed(grey), embed(pixels), rtol=1e-4, atol=1e-5)
