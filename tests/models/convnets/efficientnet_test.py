"""EfficientNet equals Hugging Face's and a PyTorch version like timm's."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from abaw_jax.models.convnets import efficientnet
from abaw_jax.porting.convnet_layouts import efficientnet as efficientnet_layout
from tests.porting.convnet_layouts import torch_efficientnet
from tests.porting.layouts import torch_networks

LAYOUT = efficientnet_layout.LAYOUT
WIDTH = 0.5
STAGES = efficientnet.STAGES[:3]
NAMES = ('stem', 'stage1', 'stage2', 'stage3', 'head')
# Published parameters without classifier, and multiply-adds in millions.
PUBLISHED = {
    'efficientnet_b0': (4_007_548, 390),
    'efficientnet_b1': (6_513_184, 688),
    'efficientnet_b2': (7_700_994, 1000),
    'efficientnet_b3': (10_696_232, 1800),
    'efficientnet_b4': (17_548_616, 4390),
}


def small(image_size: int) -> efficientnet.EfficientNet:
  return efficientnet.EfficientNet(
      WIDTH, 1.0, image_size=image_size, stages=STAGES
  )


@pytest.fixture(name='twin', scope='module')
def _twin():
  """Returns the PyTorch network with random weights and statistics."""
  twin = torch_efficientnet.EfficientNet(
      WIDTH, stages=torch_efficientnet.STAGES[:3]
  )
  return torch_networks.randomise(twin)


@pytest.fixture(name='weights', scope='module')
def _weights(twin):
  return torch_networks.variables(
      torch_networks.to_ours(small(32), LAYOUT, twin.state_dict())
  )


def features(model, weights, pixels):
  return model.apply(weights, pixels, train=False, method='features')


class HuggingFace(torch.nn.Module):
  """Hugging Face's network with timm's parameter names and our map names."""

  def __init__(self, stages, width: float, image_size: int):
    super().__init__()
    dim = efficientnet.scaled(efficientnet.HEAD_WIDTH, width)
    self.counts = [stage.blocks for stage in stages]
    widths = [stage.width for stage in stages]
    self.inner = transformers.EfficientNetModel(
        transformers.EfficientNetConfig(
            image_size=image_size,
            width_coefficient=width,
            depth_coefficient=1.0,
            kernel_sizes=[stage.size for stage in stages],
            in_channels=[efficientnet.STEM_WIDTH, *widths[:-1]],
            out_channels=widths,
            strides=[stage.stride for stage in stages],
            num_block_repeats=self.counts,
            expand_ratios=[stage.expand for stage in stages],
            hidden_dim=dim,
            batch_norm_eps=1e-3,
            batch_norm_momentum=0.1,  # as in PyTorch; Keras: 1 - momentum
            drop_connect_rate=0.0,
        )
    )

  def state_dict(self):
    return {self._name(k): v for k, v in self.inner.state_dict().items()}

  def named_parameters(self):
    for name, parameter in self.inner.named_parameters():
      yield self._name(name), parameter

  def _name(self, name: str) -> str:
    if not name.startswith('encoder.blocks.'):
      module, leaf = name.rsplit('.', 1)
      outside = {
          'embeddings.convolution': 'conv_stem',
          'embeddings.batchnorm': 'bn1',
          'encoder.top_conv': 'conv_head',
          'encoder.top_bn': 'bn2',
      }
      return f'{outside[module]}.{leaf}'
    number, _, layer, leaf = re.fullmatch(
        r'encoder\.blocks\.(\d+)\.(\w+)\.(\w+)\.(\w+)', name
    ).groups()
    places = [
        (stage, i) for stage, n in enumerate(self.counts) for i in range(n)
    ]
    stage, i = places[int(number)]
    first = stage == 0
    inside = {
        'expand_conv': 'conv_pw',
        'expand_bn': 'bn1',
        'depthwise_conv': 'conv_dw',
        'depthwise_norm': 'bn1' if first else 'bn2',
        'reduce': 'se.conv_reduce',
        'expand': 'se.conv_expand',
        'project_conv': 'conv_pw' if first else 'conv_pwl',
        'project_bn': 'bn2' if first else 'bn3',
    }
    return f'blocks.{stage}.{i}.{inside[layer]}.{leaf}'

  def forward(self, x):
    out = self.inner(x, output_hidden_states=True)
    ends = np.cumsum([0, *self.counts])
    maps = {
        name: out.hidden_states[end]
        for name, end in zip(NAMES, ends, strict=False)
    }
    return maps | {
        'map': out.last_hidden_state,
        'embedding': out.pooler_output,
    }


@pytest.fixture(name='hugging_face', scope='module')
def _hugging_face():
  model = HuggingFace(STAGES, WIDTH, 64)
  torch_networks.randomise(model.inner)
  return model


def test_maps_and_training_step_equal_hugging_face(hugging_face):
  model = small(64)
  assert len(NAMES) == len(STAGES) + 2
  weights = torch_networks.variables(
      torch_networks.to_ours(model, LAYOUT, hugging_face.state_dict())
  )
  torch_networks.assert_same_features(model, weights, hugging_face)
  found = torch_networks.step(model, weights, torch_networks.images(64))
  torch_networks.assert_same_step(model, LAYOUT, hugging_face, found)


@pytest.mark.parametrize('size', [37, 46])
def test_every_stage_equals_torch_at_odd_sizes(weights, twin, size):
  torch_networks.assert_same_features(small(size), weights, twin)


def test_a_training_step_equals_torch_at_an_odd_size(weights, twin):
  model = small(37)
  found = torch_networks.step(model, weights, torch_networks.images(37))
  torch_networks.assert_same_step(model, LAYOUT, twin, found)


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_network_has_the_published_size(name):
  model = efficientnet.EfficientNet(**efficientnet.SIZES[name])
  with torch.device('meta'):
    twin = torch_efficientnet.EfficientNet(model.width, model.depth)
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
  assert model.flops == torch_networks.counted_flops(twin, model.image_size)
  size = {'b0': 224, 'b1': 240, 'b2': 260, 'b3': 300, 'b4': 380}[name[-2:]]
  found = model.clone(image_size=size).flops / 2e6
  assert found == pytest.approx(millions, rel=0.02)


def test_frozen_stages_keep_their_statistics(weights):
  model = small(32).clone(frozen_stages=2)
  torch_networks.assert_frozen(model, weights, NAMES[:2])


def test_stochastic_depth_grows_and_drops_full_branches(weights):
  # With frozen statistics only stochastic depth differs from evaluation.
  model = small(32).clone(drop_path=0.5, frozen_stages=9)
  rates = [
      model.block(stage, i, {'parent': None}).drop_path
      for stage, count in enumerate(model.layers, start=1)
      for i in range(count)
  ]
  np.testing.assert_allclose(rates, 0.5 * np.arange(5) / 5)
  pixels = torch_networks.images(32, 64)
  plain = jax.jit(functools.partial(features, model))(weights, pixels)
  random, _ = torch_networks.features(model, weights, pixels)
  # The first block with a shortcut is the second of stage 2. Its rate is 0.2,
  # so a branch is dropped or scaled by 1 / 0.8.
  np.testing.assert_allclose(random['stage1'], plain['stage1'], atol=1e-4)
  change = np.asarray(random['stage2'] - plain['stage2']).reshape(64, -1)
  sizes = np.abs(change).max(axis=1)
  dropped = sizes > 2 * np.median(sizes)
  assert sizes.min() > 1e-4
  assert 4 <= dropped.sum() <= 24


def test_bfloat16_is_close_and_its_embedding_is_float32(weights):
  model = small(32)
  pixels = torch_networks.images(32)
  maps = {
      dtype: jax.jit(functools.partial(features, model.clone(dtype=dtype)))(
          weights, pixels
      )
      for dtype in (jnp.float32, jnp.bfloat16)
  }
  exact, rounded = maps.values()
  assert rounded['stage3'].dtype == jnp.bfloat16
  assert rounded['embedding'].dtype == jnp.float32
  error = jnp.abs(rounded['stage3'] - exact['stage3']).mean()
  assert error < 0.03 * jnp.abs(exact['stage3']).mean()
