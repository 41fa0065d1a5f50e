"""MobileFaceNet and DDAMFN++ equal PyTorch's; their weights convert."""

import json
import pathlib

import numpy as np
import pytest
import torch

from abaw_jax.checkpoints import runs
from abaw_jax.conversion import convert, parity_check
from abaw_jax.core import errors
from abaw_jax.models import convnet_zoo
from abaw_jax.models.convnets import ddamfn, mobilefacenet
from abaw_jax.porting import registry
from abaw_jax.porting.layouts import state_dicts
from benchmarks.twins import ddamfn as torch_ddamfn
from benchmarks.twins import mobilefacenet as torch_mobilefacenet
from tests.porting.layouts import torch_networks

CHECKPOINT = pathlib.Path('x.pth')
SIZE, LAYERS = 32, (2, 1, 1)
# Our network and PyTorch's by layout.
NETWORKS = {
    'mobilefacenet': (
        mobilefacenet.MobileFaceNet(LAYERS, 1, image_size=SIZE),
        lambda **options: torch_mobilefacenet.MobileFaceNet(
            LAYERS, 1, SIZE, **options
        ),
    ),
    'mbf': (
        mobilefacenet.MobileFaceNet(LAYERS, 2, image_size=SIZE),
        lambda **options: torch_mobilefacenet.MobileFaceNet(
            LAYERS, 2, SIZE, insightface=True, **options
        ),
    ),
    'ddamfn': (
        ddamfn.DDAMFN(LAYERS, image_size=SIZE),
        lambda **options: torch_ddamfn.DDAMFN(LAYERS, SIZE, **options),
    ),
}
# Parameters without classifier in millions, without modules that are not used:
# https://github.com/SainingZhang/DDAMFN says 4.11 for DDAMFN++. EmotiEffLib's
# mbf_va_mtl.onnx has 2,054,282 with 10 outputs, with most norms merged.
PARAMETERS = {'mobilefacenet': 1.200512, 'mbf': 2.05952, 'ddamfn': 4.11}


@pytest.fixture(name='case', params=NETWORKS, scope='module')
def _case(request):
  """Returns (layout, our network, PyTorch's, our weights)."""
  layout = registry.LAYOUTS[request.param]
  model, make = NETWORKS[request.param]
  twin = torch_networks.randomise(make())
  ours = torch_networks.to_ours(model, layout, twin.state_dict())
  return layout, model, twin, torch_networks.variables(ours)


def test_maps_and_training_step_equal_torch(case):
  layout, model, twin, weights = case
  torch_networks.assert_same_features(model, weights, twin)
  if layout is registry.LAYOUTS['mobilefacenet']:
    return  # the same network with fewer channels
  found = torch_networks.step(model, weights, torch_networks.images(SIZE))
  torch_networks.assert_same_step(model, layout, twin, found)


def test_torch_loads_the_exported_weights(case):
  layout, _, twin, weights = case
  state = twin.state_dict()
  assert registry.LAYOUTS[registry.detect_layout(state, CHECKPOINT)] is layout
  ours = torch_networks.flat(weights)
  back = layout.export(
      state_dicts.to_theirs(ours, torch_networks.rules(ours, layout))
  )
  counters = {name for name in state if name.endswith('num_batches_tracked')}
  assert set(back) == set(state) - counters
  tensors = torch_networks.to_numpy(twin)
  for name in layout.canonicalize(tensors, CHECKPOINT):
    np.testing.assert_array_equal(back[name], tensors[name], err_msg=name)
  # Modules that DDAMFN++ does not use get their initial values.
  assert all(np.isfinite(value).all() for value in back.values())
  assert {k: x.shape for k, x in back.items()} == {
      k: tuple(x.shape) for k, x in state.items() if k not in counters
  }


@pytest.mark.parametrize('name', NETWORKS)
def test_a_network_has_the_published_size(name):
  module, sizes = convnet_zoo.CONVNETS[name]
  model = module(**sizes)
  with torch.device('meta'):
    if name == 'ddamfn':
      twin = torch_ddamfn.DDAMFN(model.layers, 112)
    else:
      twin = torch_mobilefacenet.MobileFaceNet(
          model.layers, model.scale, 112, insightface=name == 'mbf'
      )
  layout = registry.layout_for({'backbone': name})
  tensors = layout.canonicalize(torch_networks.to_numpy(twin), CHECKPOINT)
  shapes = {k: tuple(x.shape) for k, x in tensors.items()}
  assert layout.infer_model(shapes, CHECKPOINT) == sizes | {
      'name': 'convnet', 'image_size': 112
  }  # fmt: skip
  wanted = torch_networks.shapes(model)
  own = [np.prod(x) for k, x in wanted.items() if not k.startswith('batch_')]
  assert sum(own) / 1e6 == pytest.approx(PARAMETERS[name], rel=0.003)
  assert model.flops == torch_networks.counted_flops(twin, 112)


def test_images_of_another_size_are_refused():
  model = NETWORKS['mbf'][0]
  with pytest.raises(
      errors.InputError, match='a MobileFaceNet reads images of'
  ):
    model.init({}, torch_networks.images(48, 2), train=False)


def test_the_pickled_mobilefacenet_of_hse_nn_gives_its_outputs(
    tmp_path, monkeypatch
):
  tiny = (mobilefacenet.MobileFaceNet, {'layers': LAYERS, 'scale': 2})
  monkeypatch.setitem(convnet_zoo.CONVNETS, 'mbf', tiny)
  twin = torch_networks.randomise(NETWORKS['mbf'][1](classes=10)).eval()
  torch.save(twin, tmp_path / 'mbf_va_mtl.pt')
  convert.import_weights(tmp_path / 'mbf_va_mtl.pt', tmp_path / 'mbf')
  card = json.loads((tmp_path / 'mbf' / 'card.json').read_text())
  assert card['preprocessing']['fit'] == 'squash'
  assert card['preprocessing']['mean'] == [0.5] * 3
  assert card['labels']['order'][:2] == ['Anger', 'Contempt']
  assert runs.read_config(tmp_path / 'mbf')['model']['backbone'] == 'mbf'
  pixels = torch_networks.images(SIZE, 2)
  with torch.no_grad():
    logits = twin(torch_networks.to_torch(pixels))['logits'].numpy()
  np.savez(tmp_path / 'reference.npz', images=pixels, logits=logits)
  (line,) = parity_check.check_outputs(
      tmp_path / 'mbf', tmp_path / 'reference.npz'
  )
  assert line.startswith('logits: differs by')
