"""ConvNeXt-V2, MobileViT and ReXNet equal timm's; their weights convert."""

import json
import pathlib

import numpy as np
import pytest
import torch

from abaw_jax.conversion import convert
from abaw_jax.models import convnet_zoo
from abaw_jax.models.convnets import convnext, mobilevit, rexnet
from abaw_jax.porting import registry
from abaw_jax.porting.convnet_layouts import convnext as convnext_layout
from abaw_jax.porting.convnet_layouts import rexnet as rexnet_layout
from abaw_jax.porting.layouts import state_dicts
from benchmarks.twins import timm_import
from tests.porting.layouts import torch_networks

timm = timm_import.load()
CHECKPOINT = pathlib.Path('x.pth')
SIZE = 40  # the transformer of a MobileViT gets 5 x 5 positions
LAYERS = (1, 1, 1, 1, 1, 1)
VIT = {'stem_width': 8, 'layers': (1, 1, 2), 'depths': (2,)}
VIT |= {'widths': (8, 8, 16), 'expand': 2, 'dims': (32,)}
# Parameters without classifier, as timm's page of results rounds them, and
# multiply-adds in millions at its image size.
PUBLISHED = {
    'convnextv2_atto': (3.71e6 - 321e3, 224, 550),
    'mobilevit_s': (5.58e6 - 641e3, 256, 2030),
    'mobilevitv2_150': (10.59e6 - 769e3, 256, 4090),
    'rexnet_150': (9.73e6 - 1.921e6, 224, 880),
}


class Twin(torch.nn.Module):
  """timm's network with our names of maps."""

  def __init__(self, inner: torch.nn.Module, modules: dict[str, str]):
    super().__init__()
    self.inner = inner
    self.maps = {}
    for name, module in modules.items():
      self.inner.get_submodule(module).register_forward_hook(
          lambda _, __, out, name=name: self.maps.update({name: out})
      )

  def state_dict(self):
    return self.inner.state_dict()

  def named_parameters(self):
    return self.inner.named_parameters()

  def forward(self, x):
    embedding = self.inner(x)
    return dict(self.maps) | {'embedding': embedding}


def stages(pattern: str, count: int) -> dict[str, str]:
  return {f'stage{i + 1}': pattern.format(i) for i in range(count)}


def make_convnext(**options) -> torch.nn.Module:
  return timm.models.convnext.ConvNeXt(
      depths=(1, 2, 1, 1),
      dims=(8, 16, 32, 64),
      use_grn=True,
      ls_init_value=None,
      **{'num_classes': 0} | options,
  )


def make_mobilevit(separable: bool) -> torch.nn.Module:
  module, byob = timm.models.mobilevit, timm.models.byobnet
  blocks = [module._inverted_residual_block(1, 8, s, br=2.0) for s in (1, 2)]
  blocks.append(
      module._mobilevitv2_block(1, 16, 2, 2, transformer_br=2.0)
      if separable
      else module._mobilevit_block(1, 16, 2, 32, 2, 2, br=2.0)
  )
  config = byob.ByoModelCfg(
      blocks=tuple(blocks),
      stem_chs=8,
      stem_type='3x3',
      stem_pool='',
      downsample='',
      act_layer='silu',
      num_features=0 if separable else 24,
  )
  return byob.ByobNet(config, num_classes=0)


# Our network, timm's, and timm's names of maps.
NETWORKS = {
    'convnextv2': (
        lambda: convnext.ConvNeXt((1, 2, 1, 1), 8, image_size=SIZE),
        make_convnext,
        {'stem': 'stem', 'map': 'norm_pre'} | stages('stages.{}', 4),
    ),
    'mobilevit': (
        lambda: mobilevit.MobileViT(
            **VIT, head_width=24, separable=False, image_size=SIZE
        ),
        lambda: make_mobilevit(False),
        {'stem': 'stem', 'map': 'final_conv'} | stages('stages.{}', 3),
    ),
    'mobilevitv2': (
        lambda: mobilevit.MobileViT(
            **VIT, head_width=0, separable=True, image_size=SIZE
        ),
        lambda: make_mobilevit(True),
        {'stem': 'stem', 'map': 'final_conv'} | stages('stages.{}', 3),
    ),
    'rexnet': (
        lambda: rexnet.ReXNet(1.0, LAYERS, image_size=SIZE),
        lambda: timm.models.rexnet.RexNet(
            depth_mult=0.2, num_classes=0, drop_rate=0.0
        ),
        {'stem': 'stem', 'map': 'features.6'} | stages('features.{}', 6),
    ),
}


@pytest.fixture(name='made', params=NETWORKS, scope='module')
def _made(request):
  """Returns (layout, our network, timm's with random weights, our weights)."""
  make, make_twin, modules = NETWORKS[request.param]
  model, layout = make(), registry.LAYOUTS[request.param]
  twin = Twin(torch_networks.randomise(make_twin()), modules)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(rexnet_layout, '_LAYERS', LAYERS)
    ours = torch_networks.to_ours(model, layout, twin.state_dict())
  return layout, model, twin, torch_networks.variables(ours)


@pytest.fixture(name='case')
def _case(made, monkeypatch):
  monkeypatch.setattr(rexnet_layout, '_LAYERS', LAYERS)
  return made


def test_maps_and_training_step_equal_timm(case):
  layout, model, twin, weights = case
  torch_networks.assert_same_features(model, weights, twin)
  found = torch_networks.step(model, weights, torch_networks.images(SIZE))
  torch_networks.assert_same_step(model, layout, twin, found)


def test_timm_loads_the_exported_weights(case):
  layout, _, twin, weights = case
  ours = torch_networks.flat(weights)
  back = layout.export(
      state_dicts.to_theirs(ours, torch_networks.rules(ours, layout))
  )
  state = twin.state_dict()
  assert registry.LAYOUTS[registry.detect_layout(state, CHECKPOINT)] is layout
  counters = {name for name in state if name.endswith('num_batches_tracked')}
  assert set(back) == set(state) - counters
  for name, value in back.items():
    np.testing.assert_array_equal(value, state[name], err_msg=name)


def names(*prefixes: str) -> list[str]:
  return [x for x in convnet_zoo.CONVNETS if x.startswith(prefixes)]


@pytest.mark.parametrize('name', names('convnextv2', 'mobilevit', 'rexnet'))
def test_timm_has_a_network_of_the_same_sizes(name):
  with torch.device('meta'):
    twin = timm.create_model(name, num_classes=5)
  layout = registry.layout_for({'backbone': name})
  tensors = layout.canonicalize(torch_networks.to_numpy(twin), CHECKPOINT)
  shapes = {k: tuple(x.shape) for k, x in tensors.items()}
  found = layout.infer_model(shapes, CHECKPOINT)
  module, sizes = convnet_zoo.CONVNETS[name]
  size = found['image_size']
  assert found == sizes | {
      'name': 'convnet', 'num_classes': 5, 'image_size': size
  }  # fmt: skip
  model = module(**sizes)
  assert model.dim == twin.num_features
  if name not in PUBLISHED:
    return
  parameters, side, millions = PUBLISHED[name]
  wanted = torch_networks.shapes(model)
  rules = torch_networks.rules(wanted, layout)
  head = {'head.fc.weight', 'head.fc.bias'}
  assert {rules[k].name: x for k, x in wanted.items()}.keys() == (
      tensors.keys() - head
  )
  own = [np.prod(x) for k, x in wanted.items() if not k.startswith('batch_')]
  assert sum(own) == pytest.approx(parameters, rel=0.005)
  model = model.clone(image_size=side)
  twin.reset_classifier(0)
  attention = 0
  if name == 'mobilevit_s':
    sides = (32, 16, 8)
    attention = sum(
        16 * depth * dim * (n * n // 4) ** 2
        for depth, dim, n in zip(model.depths, model.dims, sides, strict=True)
    )
  assert model.flops == attention + torch_networks.counted_flops(twin, side)
  assert model.flops / 2e6 == pytest.approx(millions, rel=0.03)


def to_facebook(name: str) -> str:
  """Returns the name in facebookresearch/ConvNeXt-V2 of a tensor of timm."""
  for old, new in (
      ('stem.', 'downsample_layers.0.'),
      ('.blocks.', '.'),
      ('conv_dw', 'dwconv'),
      ('mlp.fc', 'pwconv'),
      ('mlp.grn.weight', 'grn.gamma'),
      ('mlp.grn.bias', 'grn.beta'),
      ('head.norm', 'norm'),
      ('head.fc', 'head'),
  ):
    name = name.replace(old, new)
  if '.downsample.' in name:
    _, stage, _, *rest = name.split('.')
    return '.'.join(['downsample_layers', stage, *rest])
  return name


def test_convnext_of_facebook_and_small_networks_of_timm_are_equal(monkeypatch):
  twin = make_convnext(num_classes=3, conv_mlp=True)
  state = torch_networks.randomise(twin).state_dict()
  matrices = make_convnext(num_classes=3).state_dict()
  facebook = {
      to_facebook(k): x.reshape(1, 1, 1, -1)
      if '.grn.' in k
      else x.reshape(matrices[k].shape)
      for k, x in state.items()
  }
  layouts = [
      registry.LAYOUTS[registry.detect_layout(x, CHECKPOINT)]
      for x in (state, facebook)
  ]
  assert layouts[0] is not layouts[1]
  first, second = (
      layout.canonicalize({k: v.numpy() for k, v in x.items()}, CHECKPOINT)
      for layout, x in zip(layouts, (state, facebook), strict=True)
  )
  assert first.keys() == second.keys()
  for name, value in first.items():
    np.testing.assert_array_equal(value, second[name])
  monkeypatch.setattr(convnext_layout, '_WIDTHS_WITH_CONVOLUTIONS', (8,))
  back = layouts[1].export(second)
  assert {k: x.shape for k, x in back.items()} == {
      k: tuple(x.shape) for k, x in state.items()
  }


def test_the_pickled_mobilevit_of_hse_nn_is_recognised(tmp_path):
  twin = timm.create_model('mobilevitv2_050', num_classes=10)
  assert twin.default_cfg['mean'] == (0.0, 0.0, 0.0)
  torch.save(twin, tmp_path / 'mobilevit_va_mtl.pt')
  convert.import_weights(tmp_path / 'mobilevit_va_mtl.pt', tmp_path / 'out')
  card = json.loads((tmp_path / 'out' / 'card.json').read_text())
  pixels = card['preprocessing']
  assert (pixels['image_size'], pixels['fit']) == (224, 'squash')
  assert pixels['mean'] == [0.485, 0.456, 0.406]
  assert card['labels']['order'][8:] == ['valence', 'arousal']
