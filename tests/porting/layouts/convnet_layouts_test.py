"""State dicts of timm's EfficientNet and torchvision's ResNet, there and back."""

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from abaw_jax.core import errors
from abaw_jax.models.layers import variables
from abaw_jax.models.vision import classifier, efficientnet, resnet
from abaw_jax.porting import torch_reader
from abaw_jax.porting.layouts import efficientnet as efficientnet_layout
from abaw_jax.porting.layouts import registry, state_dicts
from tests.porting.layouts import (
    torch_efficientnet,
    torch_networks,
    torch_resnet,
)

LAYERS = (1, 2)
# Layout: the PyTorch network, ours, and what is told of it.
NETWORKS = {
    'efficientnet': (
        torch_efficientnet.EfficientNet,
        efficientnet.EfficientNet(1.0, 1.0),
        {'width': 1.0, 'depth': 1.0},
    ),
    'resnet': (
        lambda **options: torch_resnet.ResNet(LAYERS, 16, **options),
        resnet.ResNet(LAYERS, 16),
        {'layers': LAYERS, 'stem_width': 16},
    ),
}


@pytest.fixture(name='case', params=NETWORKS)
def _case(request):
  """Returns (layout, how PyTorch's is made, ours, what is told)."""
  return registry.LAYOUTS[request.param], *NETWORKS[request.param]


def to_numpy(twin: nn.Module) -> dict[str, np.ndarray]:
  return {name: x.numpy() for name, x in twin.state_dict().items()}


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
  """Returns the shape of every weight by path, statistics included."""
  pixels = jnp.zeros((1, 32, 32, 3))
  tree = jax.eval_shape(
      lambda key: variables.init(model, key, pixels), jax.random.key(0)
  )
  flat = traverse_util.flatten_dict(tree, sep='/')
  return {path: x.shape for path, x in flat.items()}


def test_names_and_shapes_tell_the_network(case):
  layout, make, _, sizes = case
  for options in ({}, {'classes': 5}):
    tensors = to_numpy(make(**options))
    name = registry.recognise(tensors, 'x.pth')
    assert registry.LAYOUTS[name] is layout
    shapes = {k: x.shape for k, x in layout.tidy(tensors, 'x.pth').items()}
    expected = {'name': 'convnet', 'image_size': 224} | sizes
    if options:
      expected['num_classes'] = 5
    assert layout.describe(shapes, 'x.pth') == expected


def test_weights_and_statistics_come_back_bit_for_bit(case):
  layout, make, model, _ = case
  twin = torch_networks.randomise(make(classes=5))
  tensors = layout.tidy(to_numpy(twin), 'x.pth')
  shapes = shapes_of(classifier.Classifier(model, num_classes=5))
  rules = {path: layout.rule_of(path, {}) for path in shapes}
  ours = state_dicts.to_ours(tensors, shapes, rules, 'x.pth')
  assert 'batch_stats/backbone/stem_norm/mean' in ours
  assert 'head/kernel' in ours
  back = layout.complete(state_dicts.to_theirs(ours, rules))
  assert set(back) == set(tensors)
  for name, value in tensors.items():
    np.testing.assert_array_equal(back[name], value, err_msg=name)
    assert back[name].dtype == np.float32
  # PyTorch takes it, strictly, without the counters.
  state = {k: torch.tensor(x.copy()) for k, x in back.items()}
  make(classes=5).load_state_dict(state, strict=True)


def test_a_pickled_network_of_hse_is_read(tmp_path):
  twin = torch_networks.randomise(torch_efficientnet.EfficientNet(classes=10))
  expected = to_numpy(twin)
  # As single-task networks of HSE-NN keep it.
  twin.classifier = nn.Sequential(twin.classifier)
  twin.default_cfg = {'mean': (0.485, 0.456, 0.406), 'url': ''}
  torch.save(twin, tmp_path / 'enet_b0_8_va_mtl.pt')
  tensors, _ = torch_reader.read(tmp_path / 'enet_b0_8_va_mtl.pt')
  assert 'classifier.0.weight' in tensors
  layout = registry.LAYOUTS[registry.recognise(tensors, 'x.pt')]
  tensors = layout.tidy(tensors, 'x.pt')
  assert set(tensors) == {x for x in expected if 'num_batches' not in x}
  for name, value in tensors.items():
    np.testing.assert_array_equal(value, expected[name])
  shapes = {k: x.shape for k, x in tensors.items()}
  order = layout.labels[layout.describe(shapes, 'x.pt')['num_classes']]
  # hse_nn: alphabetical, then valence and arousal.
  assert list(order[:8]) == sorted(order[:8])
  assert order[5:] == (
      'Neutral', 'Sadness', 'Surprise', 'valence', 'arousal'
  )  # fmt: skip
  assert [len(row) for row in layout.labels.values()] == list(layout.labels)


def test_other_sizes_of_efficientnet_are_said():
  twin = torch_efficientnet.EfficientNet(1.0, 1.1)
  shapes = {k: tuple(x.shape) for k, x in twin.state_dict().items()}
  with pytest.raises(errors.InputError, match=r'x\.pth: has 23 blocks .* 1280'):
    efficientnet_layout.describe(shapes, 'x.pth')
