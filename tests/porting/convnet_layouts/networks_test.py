"""Conversion of IResNet and DenseNet in both directions."""

import pathlib
import re

import numpy as np
import pytest
import torch

from abaw_jax.core import errors
from abaw_jax.models.convnets import densenet, iresnet
from abaw_jax.porting import registry
from abaw_jax.porting.layouts import state_dicts
from benchmarks.twins import densenet as torch_densenet
from benchmarks.twins import iresnet as torch_iresnet
from tests.porting.layouts import torch_networks

CHECKPOINT = pathlib.Path('x.pth')
SIZES = {'layers': (2, 1), 'growth': 8, 'stem_width': 16}
GREY = {'layers': (1, 1, 2), 'growth': 4, 'stem_width': 8, 'grey': True}
LAYERS = (2, 1, 1, 1)
# By layout: PyTorch's network, our network, and its inferred `model` section.
NETWORKS = {
    'iresnet': (
        lambda: torch_iresnet.IResNet(LAYERS, 32, 16),
        iresnet.IResNet(LAYERS, image_size=32, dim=16),
        {'name': 'convnet', 'layers': LAYERS, 'image_size': 32},
    ),
    'densenet': (
        lambda: torch_densenet.DenseNet(**SIZES),
        densenet.DenseNet(**SIZES),
        {'name': 'convnet', 'grey': False, 'image_size': 224} | SIZES,
    ),
    'densenet_grey': (
        lambda: torch_densenet.DenseNet(**GREY),
        densenet.DenseNet(**GREY, image_size=64),
        {'name': 'convnet', 'image_size': 64} | GREY,
    ),
}


@pytest.fixture(name='case', params=NETWORKS)
def _case(request):
  """Returns (name of the layout, PyTorch's network, ours, `model` section)."""
  make, model, section = NETWORKS[request.param]
  return request.param, torch_networks.randomise(make()), model, section


def to_numpy(twin: torch.nn.Module) -> dict[str, np.ndarray]:
  return {name: x.numpy() for name, x in twin.state_dict().items()}


def test_names_and_shapes_identify_the_network(case):
  name, twin, _, section = case
  tensors = to_numpy(twin)
  assert registry.detect_layout(tensors, CHECKPOINT) == name
  layout = registry.LAYOUTS[name]
  tensors = layout.canonicalize(tensors, CHECKPOINT)
  shapes = {k: x.shape for k, x in tensors.items()}
  assert layout.infer_model(shapes, CHECKPOINT) == section


def test_round_trip_keeps_weights_and_statistics_bit_for_bit(case):
  name, twin, model, _ = case
  layout = registry.LAYOUTS[name]
  ours = torch_networks.to_ours(model, layout, twin.state_dict())
  rules = torch_networks.rules(ours, layout)
  back = layout.export(state_dicts.to_theirs(ours, rules))
  expected = {
      name: x
      for name, x in to_numpy(twin).items()
      if not name.endswith('num_batches_tracked')
  }
  assert set(back) == set(expected)
  for name, value in expected.items():
    np.testing.assert_array_equal(back[name], value, err_msg=name)
    assert back[name].dtype == np.float32
  # PyTorch loads it with `strict=True`, without the counters.
  tensors = {k: torch.tensor(x.copy()) for k, x in back.items()}
  NETWORKS[case[0]][0]().load_state_dict(tensors, strict=True)


def test_the_classifier_becomes_the_head():
  twin = torch_densenet.DenseNet(**SIZES, num_classes=7)
  layout = registry.LAYOUTS['densenet']
  shapes = {k: tuple(x.shape) for k, x in twin.state_dict().items()}
  assert layout.infer_model(shapes, CHECKPOINT)['num_classes'] == 7
  weight = twin.state_dict()['classifier.weight'].numpy()
  rule = layout.make_rule('head/kernel', {})
  assert rule.name == 'classifier.weight'
  np.testing.assert_array_equal(rule.to_ours(weight), weight.T)
  assert layout.make_rule('head/bias', {}).name == 'classifier.bias'


def test_rules_are_the_same_for_a_backbone_inside_a_model():
  for path in ('stem_norm/mean', 'stage2_0/norm1/mean'):
    for name in NETWORKS:
      make_rule = registry.LAYOUTS[name].make_rule
      inside = make_rule(f'batch_stats/backbone/{path}', {})
      assert inside == make_rule(f'batch_stats/{path}', {})
      assert inside.name.endswith('.running_mean')


def test_old_names_of_torchvision_can_be_read():
  make, model, _ = NETWORKS['densenet']
  state = torch_networks.randomise(make()).state_dict()
  old = {
      re.sub(r'(denselayer\d+\.(norm|conv))(\d)', r'\1.\3', name): value
      for name, value in state.items()
  }
  assert 'features.denseblock1.denselayer1.norm.1.running_var' in old
  layout = registry.LAYOUTS['densenet']
  assert registry.detect_layout(old, CHECKPOINT) == 'densenet'
  found = torch_networks.to_ours(model, layout, old)
  for path, value in torch_networks.to_ours(model, layout, state).items():
    np.testing.assert_array_equal(found[path], value)


@pytest.mark.parametrize(
    ('scale', 'text'),
    [(None, 'features.weight is missing'), (2.0, 'features.weight is not 1')],
)
def test_a_scale_other_than_1_is_refused(scale, text):
  tensors = to_numpy(NETWORKS['iresnet'][0]())
  del tensors['features.weight']
  if scale:
    tensors['features.weight'] = np.full(16, scale, np.float32)
  with pytest.raises(errors.InputError, match=text):
    registry.LAYOUTS['iresnet'].canonicalize(tensors, CHECKPOINT)


@pytest.mark.parametrize(
    ('name', 'change', 'text'),
    [
        ('iresnet', {'fc.weight': (16, 2049)}, 'takes 2049 values'),
        ('iresnet', {'fc.weight': (16,)}, 'fc.weight'),
        ('densenet', {'features.conv0.weight': (16, 3)}, 'has the shape'),
    ],
)
def test_wrong_shapes_are_refused(name, change, text):
  shapes = {k: x.shape for k, x in to_numpy(NETWORKS[name][0]()).items()}
  with pytest.raises(errors.InputError, match=text) as error:
    registry.LAYOUTS[name].infer_model(shapes | change, CHECKPOINT)
  assert 'x.pth' in str(error.value)


def test_every_missing_extra_and_misshapen_name_is_listed(case):
  name, twin, model, _ = case
  state = twin.state_dict()
  first, second, *_ = (x for x in state if x.endswith('running_var'))
  del state[first]
  state[second] = torch.zeros(3)
  state['se.weight'] = torch.zeros(2)
  with pytest.raises(errors.InputError) as error:
    torch_networks.to_ours(model, registry.LAYOUTS[name], state)
  message = str(error.value)
  for text in (f'missing {first}', f'{second} is (3,)', 'extra se.weight'):
    assert text in message
