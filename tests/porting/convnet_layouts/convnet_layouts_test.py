"""Conversion of timm's EfficientNet and torchvision's ResNet in both directions."""

import pathlib

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from abaw_jax.core import errors
from abaw_jax.models.convnets import efficientnet, resnet
from abaw_jax.models.layers import variables
from abaw_jax.models.vision import classifier
from abaw_jax.porting import registry, torch_reader
from abaw_jax.porting.convnet_layouts import efficientnet as efficientnet_layout
from abaw_jax.porting.layouts import state_dicts
from tests.porting.convnet_layouts import torch_efficientnet, torch_resnet
from tests.porting.layouts import torch_networks

CHECKPOINT = pathlib.Path('x.pth')
LAYERS = (1, 2)
# By layout: PyTorch's network, our network, and its inferred sizes.
NETWORKS = {
    'efficientnet': (
        torch_efficientnet.EfficientNet,
        efficientnet.EfficientNet(1.0, 1.0),
        {'width': 1.0, 'depth': 1.0},
    ),
    'resnet': (
        lambda **options: torch_resnet.ResNet(LAYERS, 16, **options),
        resnet.ResNet(LAYERS, 16),
        {'layers': LAYERS, 'stem_width': 16, 'bottleneck': True},
    ),
}


@pytest.fixture(name='case', params=NETWORKS)
def _case(request):
  """Returns (layout, maker of PyTorch's network, our network, its sizes)."""
  return registry.LAYOUTS[request.param], *NETWORKS[request.param]


def to_numpy(twin: nn.Module) -> dict[str, np.ndarray]:
  return {name: x.numpy() for name, x in twin.state_dict().items()}


def weight_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
  """Returns the shape of every parameter and running statistic by path."""
  pixels = jnp.zeros((1, 32, 32, 3))
  tree = jax.eval_shape(
      lambda key: variables.init(model, key, pixels), jax.random.key(0)
  )
  flat = traverse_util.flatten_dict(tree, sep='/')
  return {path: x.shape for path, x in flat.items()}


def test_names_and_shapes_identify_the_network(case):
  layout, make, _, sizes = case
  for options in ({}, {'classes': 5}):
    tensors = to_numpy(make(**options))
    name = registry.detect_layout(tensors, CHECKPOINT)
    assert registry.LAYOUTS[name] is layout
    shapes = {
        k: x.shape for k, x in layout.canonicalize(tensors, CHECKPOINT).items()
    }
    expected = {'name': 'convnet', 'image_size': 224} | sizes
    if options:
      expected['num_classes'] = 5
    assert layout.infer_model(shapes, CHECKPOINT) == expected


def test_round_trip_keeps_weights_and_statistics_bit_for_bit(case):
  layout, make, model, _ = case
  twin = torch_networks.randomise(make(classes=5))
  tensors = layout.canonicalize(to_numpy(twin), CHECKPOINT)
  shapes = weight_shapes(classifier.Classifier(model, num_classes=5))
  rules = {path: layout.make_rule(path, {}) for path in shapes}
  ours = state_dicts.to_ours(tensors, shapes, rules, CHECKPOINT)
  assert 'batch_stats/backbone/stem_norm/mean' in ours
  assert 'head/kernel' in ours
  back = layout.export(state_dicts.to_theirs(ours, rules))
  assert set(back) == set(tensors)
  for name, value in tensors.items():
    np.testing.assert_array_equal(back[name], value, err_msg=name)
    assert back[name].dtype == np.float32
  # PyTorch loads it with `strict=True`, without the counters.
  state = {k: torch.tensor(x.copy()) for k, x in back.items()}
  make(classes=5).load_state_dict(state, strict=True)


def test_a_pickled_network_of_hse_nn_can_be_read(tmp_path):
  twin = torch_networks.randomise(torch_efficientnet.EfficientNet(classes=10))
  expected = to_numpy(twin)
  # Single-task networks of HSE-NN wrap the classifier in a sequence.
  twin.classifier = nn.Sequential(twin.classifier)
  twin.default_cfg = {'mean': (0.485, 0.456, 0.406), 'url': ''}
  torch.save(twin, tmp_path / 'enet_b0_8_va_mtl.pt')
  tensors, _ = torch_reader.read_checkpoint(tmp_path / 'enet_b0_8_va_mtl.pt')
  assert 'classifier.0.weight' in tensors
  layout = registry.LAYOUTS[registry.detect_layout(tensors, CHECKPOINT)]
  tensors = layout.canonicalize(tensors, CHECKPOINT)
  assert set(tensors) == {x for x in expected if 'num_batches' not in x}
  for name, value in tensors.items():
    np.testing.assert_array_equal(value, expected[name])
  shapes = {k: x.shape for k, x in tensors.items()}
  order = layout.labels[layout.infer_model(shapes, CHECKPOINT)['num_classes']]
  # HSE-NN's order: alphabetical, then valence and arousal.
  assert list(order[:8]) == sorted(order[:8])
  assert order[5:] == (
      'Neutral', 'Sadness', 'Surprise', 'valence', 'arousal'
  )  # fmt: skip
  assert [len(row) for row in layout.labels.values()] == list(layout.labels)


def test_an_unknown_size_of_efficientnet_is_refused():
  twin = torch_efficientnet.EfficientNet(1.0, 1.4)
  shapes = {k: tuple(x.shape) for k, x in twin.state_dict().items()}
  with pytest.raises(errors.InputError, match=r'x\.pth: has 26 blocks .* 1280'):
    efficientnet_layout.infer_model(shapes, CHECKPOINT)
