"""ResNet equals Hugging Face's and a PyTorch version like torchvision's."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from abaw_jax.models.convnets import resnet
from abaw_jax.porting.convnet_layouts import resnet as resnet_layout
from tests.porting.convnet_layouts import torch_resnet
from tests.porting.layouts import torch_networks

LAYOUT = resnet_layout.LAYOUT
LAYERS, STEM_WIDTH, SIZE = (2, 1, 2), 8, 32
NAMES = ('stem', 'stage1', 'stage2', 'stage3')
# Published parameters without classifier, and multiply-adds in millions.
PUBLISHED = {
    'resnet_18': (11_176_512, 1814),
    'resnet_34': (21_284_672, 3664),
    'resnet_50': (23_508_032, 4087),
    'resnet_101': (42_500_160, 7802),
}


def features(model, weights, pixels):
  return model.apply(weights, pixels, train=False, method='features')


class HuggingFace(torch.nn.Module):
  """Hugging Face's network with torchvision's and our names."""

  def __init__(self, bottleneck: bool):
    super().__init__()
    factor = 4 if bottleneck else 1
    self.inner = transformers.ResNetModel(
        transformers.ResNetConfig(
            embedding_size=STEM_WIDTH,
            hidden_sizes=[
                factor * STEM_WIDTH * 2**i for i in range(len(LAYERS))
            ],
            depths=list(LAYERS),
            layer_type='bottleneck' if bottleneck else 'basic',
        )
    )

  def state_dict(self):
    return {self._name(k): v for k, v in self.inner.state_dict().items()}

  def named_parameters(self):
    for name, parameter in self.inner.named_parameters():
      yield self._name(name), parameter

  def _name(self, name: str) -> str:
    kinds = {'convolution': 'conv1', 'normalization': 'bn1'}
    block = re.fullmatch(
        r'encoder\.stages\.(\d)\.layers\.(\d)\.(.+)\.(\w+)\.(\w+)', name
    )
    if not block:
      kind, leaf = name.split('.')[-2:]
      return f'{kinds[kind]}.{leaf}'
    stage, i, layer, kind, leaf = block.groups()
    if layer == 'shortcut':
      inside = f'downsample.{list(kinds).index(kind)}'
    else:
      inside = kinds[kind][:-1] + str(int(layer.removeprefix('layer.')) + 1)
    return f'layer{int(stage) + 1}.{i}.{inside}.{leaf}'

  def forward(self, x):
    out = self.inner(x, output_hidden_states=True)
    return dict(zip(NAMES, out.hidden_states, strict=True)) | {
        'map': out.last_hidden_state,
        'embedding': out.pooler_output.flatten(1),
    }


@pytest.fixture(name='model', scope='module')
def _model():
  return resnet.ResNet(LAYERS, STEM_WIDTH, image_size=SIZE)


@pytest.fixture(name='twin', scope='module')
def _twin():
  """Returns the PyTorch network with random weights and statistics."""
  return torch_networks.randomise(torch_resnet.ResNet(LAYERS, STEM_WIDTH))


@pytest.fixture(name='weights', scope='module')
def _weights(model, twin):
  return torch_networks.variables(
      torch_networks.to_ours(model, LAYOUT, twin.state_dict())
  )


@pytest.mark.parametrize('bottleneck', [True, False])
def test_maps_and_training_step_equal_hugging_face(model, bottleneck):
  model = model.clone(bottleneck=bottleneck)
  theirs = HuggingFace(bottleneck)
  # With seed 0 rounding puts one activation on different sides of a ReLU.
  torch_networks.randomise(theirs.inner, seed=1)
  weights = torch_networks.variables(
      torch_networks.to_ours(model, LAYOUT, theirs.state_dict())
  )
  torch_networks.assert_same_features(model, weights, theirs)
  found = torch_networks.step(model, weights, torch_networks.images(SIZE))
  torch_networks.assert_same_step(model, LAYOUT, theirs, found)


def test_every_stage_equals_torch_at_an_odd_size(model, weights, twin):
  model = model.clone(image_size=37)
  torch_networks.assert_same_features(model, weights, twin)


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_network_has_the_published_size(name):
  model = resnet.ResNet(**resnet.SIZES[name])
  with torch.device('meta'):
    twin = torch_resnet.ResNet(model.layers, bottleneck=model.bottleneck)
  shapes = torch_networks.shapes(model)
  rules = torch_networks.rules(shapes, LAYOUT)
  theirs = {
      name: x.numel()
      for name, x in twin.state_dict().items()
      if not name.endswith('num_batches_tracked')
  }
  assert {rules[k].name: np.prod(x) for k, x in shapes.items()} == theirs
  parameters, millions = PUBLISHED[name]
  assert sum(x.numel() for x in twin.parameters()) == parameters
  assert model.dim == (2048 if model.bottleneck else 512)
  assert model.flops == torch_networks.counted_flops(twin, model.image_size)
  assert model.flops / 2e6 == pytest.approx(millions, rel=0.005)


def test_frozen_stages_keep_their_statistics(model, weights):
  model = model.clone(frozen_stages=2)
  torch_networks.assert_frozen(model, weights, NAMES[:2])


def test_bfloat16_is_close_and_its_embedding_is_float32(model, weights):
  pixels = torch_networks.images(32)
  maps = {
      dtype: jax.jit(functools.partial(features, model.clone(dtype=dtype)))(
          weights, pixels
      )
      for dtype in (jnp.float32, jnp.bfloat16)
  }
  exact, rounded = maps.values()
  assert rounded['map'].dtype == jnp.bfloat16
  assert rounded['embedding'].dtype == jnp.float32
  error = jnp.abs(rounded['map'] - exact['map']).mean()
  assert error < 0.03 * jnp.abs(exact['map']).mean()
