"""IResNet equals PyTorch's: every stage, and a training step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.core import errors
from abaw_jax.models.convnets import iresnet
from abaw_jax.models.layers import rematerialization
from abaw_jax.porting.convnet_layouts import iresnet as iresnet_layout
from benchmarks.twins import iresnet as torch_iresnet
from tests.porting.layouts import torch_networks

LAYERS, SIZE, DIM = (2, 1, 1, 1), 32, 16
LAYOUT = iresnet_layout.LAYOUT
STAGES = ('stem', 'stage1', 'stage2', 'stage3', 'stage4', 'head')
# Published by InsightFace: 1e6 parameters and 1e9 multiply-adds.
PUBLISHED = {
    'iresnet_18': (24.0, 2.6),
    'iresnet_34': (34.1, 4.5),
    'iresnet_50': (43.6, 6.3),
    'iresnet_100': (65.2, 12.1),
}


@pytest.fixture(name='model', scope='module')
def _model():
  return iresnet.IResNet(LAYERS, image_size=SIZE, dim=DIM)


@pytest.fixture(name='twin', scope='module')
def _twin():
  """Returns the PyTorch network with random weights and statistics."""
  twin = torch_iresnet.IResNet(LAYERS, SIZE, DIM)
  return torch_networks.randomise(twin)


@pytest.fixture(name='weights', scope='module')
def _weights(model, twin):
  return torch_networks.variables(
      torch_networks.to_ours(model, LAYOUT, twin.state_dict())
  )


@pytest.fixture(name='step', scope='module')
def _step(model, weights):
  return torch_networks.step(model, weights, torch_networks.images(SIZE))


@pytest.fixture(name='maps', scope='module')
def _maps(model, weights):
  """Returns all maps in training."""
  pixels = torch_networks.images(SIZE)
  return torch_networks.features(model, weights, pixels)[0]


def test_every_stage_equals_torch(model, weights, twin):
  torch_networks.assert_same_features(model, weights, twin)


def test_a_training_step_equals_torch(model, twin, step):
  torch_networks.assert_same_step(model, LAYOUT, twin, step)


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_network_has_the_published_size(name):
  model = iresnet.IResNet(**iresnet.SIZES[name])
  with torch.device('meta'):
    twin = torch_iresnet.IResNet(model.layers, model.image_size)
  shapes = torch_networks.shapes(model)
  rules = torch_networks.rules(shapes, LAYOUT)
  theirs = {
      name: x.numel()
      for name, x in twin.state_dict().items()
      if not name.endswith('num_batches_tracked')
  }
  sizes = {rules[path].name: np.prod(shape) for path, shape in shapes.items()}
  # This scale is always 1 and is not one of our parameters.
  sizes['features.weight'] = model.dim
  assert sizes == theirs
  millions, billions = PUBLISHED[name]
  count = sum(x.numel() for x in twin.parameters())
  assert count / 1e6 == pytest.approx(millions, abs=0.1)
  assert model.flops == torch_networks.counted_flops(twin, model.image_size)
  assert model.flops / 2e9 == pytest.approx(billions, abs=0.1)


@pytest.mark.parametrize('frozen', [3, 6])
def test_frozen_stages_keep_their_statistics(model, weights, frozen):
  model = model.clone(frozen_stages=frozen)
  torch_networks.assert_frozen(model, weights, STAGES[:frozen])


def test_rematerialisation_does_not_change_the_step(model, weights, step):
  pixels = torch_networks.images(SIZE)
  found = torch_networks.step(model.clone(remat='all'), weights, pixels)
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
      found,
      step,
  )


def test_dots_saves_convolutions_and_all_saves_nothing(model, weights):
  pixels = torch_networks.images(SIZE)
  counts = {}
  for remat in rematerialization.POLICIES:
    run = functools.partial(torch_networks.step, model.clone(remat=remat))
    text = str(jax.make_jaxpr(run)(weights, pixels))
    names = ('conv_general_dilated[', 'rsqrt')
    counts[remat] = [text.count(name) for name in names]
  convs, norms = zip(*counts.values(), strict=True)
  assert convs[0] == convs[1] < convs[2]  # none, dots, all
  assert norms[0] < norms[1] == norms[2]


def test_bfloat16_is_close_and_the_embedding_is_float32(model, weights, maps):
  pixels = torch_networks.images(SIZE)
  half = model.clone(dtype=jnp.bfloat16)
  found, moved = torch_networks.features(half, weights, pixels)
  assert found['stage4'].dtype == jnp.bfloat16
  assert found['embedding'].dtype == jnp.float32
  assert {x.dtype for x in jax.tree.leaves(moved)} == {jnp.dtype('float32')}
  error = jnp.abs(found['stage4'] - maps['stage4']).mean()
  assert error < 0.03 * jnp.abs(maps['stage4']).mean()


def test_dropout_is_active_only_in_training(model, weights, maps):
  pixels = torch_networks.images(SIZE)
  model = model.clone(dropout=0.5)
  random, _ = torch_networks.features(model, weights, pixels)
  np.testing.assert_allclose(random['map'], maps['map'], atol=1e-4)
  assert np.abs(random['embedding'] - maps['embedding']).max() > 0.1
  embed = functools.partial(model.apply, train=False)
  jax.eval_shape(embed, weights, pixels)  # needs no random key


def test_another_image_size_gives_a_message(model, weights):
  with pytest.raises(errors.InputError, match=r'image_size=32.*48 x 48'):
    model.apply(weights, torch_networks.images(48), train=False)
