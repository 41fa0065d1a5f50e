"""Files that fit several networks are asked for; converted weights are exact."""

import json
import pathlib

import numpy as np
from PIL import Image
import pytest
import torch

from abaw_jax.checkpoints import runs, weights
from abaw_jax.conversion import convert, parity_check
from abaw_jax.core import errors
from abaw_jax.models import convnet_zoo
from abaw_jax.models.convnets import efficientnet as our_efficientnet
from abaw_jax.porting.convnet_layouts import efficientnet
from abaw_jax.porting.layouts import preprocessing
from benchmarks.twins import iresnet
from tests.porting.convnet_layouts import torch_efficientnet
from tests.porting.layouts import torch_networks
from tests.tasks import torch_weights

SIZE = 40
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(name='tiny', autouse=True)
def _tiny(monkeypatch):
  """Makes the two EfficientNets small; their difference stays."""
  sizes = {
      'width': 1.0,
      'depth': 1.0,
      'stages': tuple(our_efficientnet.Stage(*stage) for stage in STAGES),
  }
  monkeypatch.setitem(
      efficientnet._SIZES, (1280, 3), sizes | {'image_size': SIZE}
  )
  for name, extra in (
      ('efficientnet_b0', {}),
      ('efficientnet_b0_torch', {'torch_padding': True}),
  ):
    network = (our_efficientnet.EfficientNet, sizes | extra)
    monkeypatch.setitem(convnet_zoo.CONVNETS, name, network)


def network(*, same=True, classes=10) -> torch.nn.Module:
  """Returns a small EfficientNet of timm or HSE-NN."""
  twin = torch_efficientnet.EfficientNet(stages=STAGES, classes=classes)
  torch_networks.randomise(twin).eval()
  for module in twin.modules():
    if not same and isinstance(module, torch_efficientnet.Conv2dSame):
      module.__class__ = torch.nn.Conv2d
      module.padding = tuple(size // 2 for size in module.kernel_size)
      module._reversed_padding_repeated_twice = [
          x for x in module.padding for _ in range(2)
      ]
    if not same and isinstance(module, torch.nn.BatchNorm2d):
      module.eps = 1e-5
  return twin


@pytest.fixture(name='save')
def _save(tmp_path):
  def save(content, name='net.pth') -> pathlib.Path:
    path = tmp_path / name
    torch.save(content, path)
    return path

  return save


def pixels() -> np.ndarray:
  """Returns uint8 images that are no squares, larger and smaller than SIZE."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (3, 56, 31, 3), np.uint8)


def original_logits(twin, mean, std) -> np.ndarray:
  """Returns the logits of PyTorch, with Pillow's images as in EmotiEffLib."""
  faces = [
      Image.fromarray(x).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
      for x in pixels()
  ]
  faces = np.stack([np.asarray(face) for face in faces]) / np.float32(255)
  faces = (faces - np.float32(mean)) / np.float32(std)
  with torch.no_grad():
    return twin(torch_networks.to_torch(faces))['logits'].numpy()


def verify(folder: pathlib.Path, logits: np.ndarray) -> None:
  reference = folder.with_suffix('.npz')
  np.savez(reference, images=pixels(), logits=logits)
  parity_check.check_outputs(folder, reference)


@pytest.mark.parametrize('same', [True, False])
def test_a_module_tells_its_padding_and_gives_the_logits_of_pillow_and_torch(
    save, tmp_path, same
):
  twin = network(same=same)
  convert.import_weights(save(twin), tmp_path / 'net')
  verify(tmp_path / 'net', original_logits(twin, *IMAGENET))
  config = runs.read_config(tmp_path / 'net')
  assert config['model']['backbone'] == (
      'efficientnet_b0' if same else 'efficientnet_b0_torch'
  )
  card = json.loads((tmp_path / 'net' / 'card.json').read_text())
  assert card['preprocessing'] == {
      'mean': list(IMAGENET[0]),
      'std': list(IMAGENET[1]),
      'fit': 'squash',
      'filter': 'bilinear',
      'image_size': SIZE,
      'color_order': 'RGB',
  }


@pytest.mark.parametrize(
    ('arch', 'same'),
    [('tf_efficientnet_b0', True), ('efficientnet_b0_torch', False)],
)
def test_the_user_says_the_padding_of_a_state_dict(save, tmp_path, arch, same):
  twin = network(same=same)
  path = save(twin.state_dict())
  for unclear in (None, 'efficientnet_b0'):
    with pytest.raises(errors.InputError, match='--arch=tf_efficientnet_b0'):
      convert.import_weights(path, tmp_path / 'net', arch=unclear)
  convert.import_weights(path, tmp_path / 'net', arch=arch)
  verify(tmp_path / 'net', original_logits(twin, *IMAGENET))


def test_weights_of_the_other_efficientnet_are_refused(save, tmp_path):
  path = save(network().state_dict())
  convert.import_weights(path, tmp_path / 'net', arch='tf_efficientnet_b0')
  model = dict(runs.read_config(tmp_path / 'net')['model'])
  shapes = convert.param_shapes(model)
  weights.load(tmp_path / 'net', model, shapes)
  model['backbone'] = 'efficientnet_b0_torch'
  with pytest.raises(errors.InputError, match='backbone=efficientnet_b0, but'):
    weights.load(tmp_path / 'net', model, shapes)


@pytest.mark.parametrize(
    ('facts', 'preset'),
    [
        ({'mean': (0.5,) * 3, 'std': (0.5,) * 3, 'interpolation': 'bicubic'},
         'half'),
        ({'mean': IMAGENET[0], 'std': IMAGENET[1], 'interpolation': 'bilinear'},
         'torchvision'),
    ],
)  # fmt: skip
def test_timm_says_the_preprocessing(save, tmp_path, facts, preset):
  twin = network(classes=5)
  path = save(twin.state_dict())
  with pytest.raises(errors.InputError, match='--preprocessing=imagenet'):
    convert.import_weights(path, tmp_path / 'no', arch='tf_efficientnet_b0')
  twin.pretrained_cfg = facts
  convert.import_weights(save(twin), tmp_path / 'module')
  # The same facts in the JSON file of a download.
  hub = save(network(classes=5).state_dict(), 'pytorch_model.bin')
  config = {'architecture': 'tf_efficientnet_b0', 'pretrained_cfg': facts}
  (tmp_path / 'config.json').write_text(json.dumps(config))
  convert.import_weights(hub, tmp_path / 'hub')
  for name in ('module', 'hub'):
    augment = runs.read_config(tmp_path / name)['augment']
    for key, value in preprocessing.PRESETS[preset].items():
      assert (tuple(value) if key in facts else value) == (
          tuple(augment[key]) if key in facts else augment[key]
      )


def test_a_vit_with_learned_positions_needs_its_preprocessing(save, tmp_path):
  state = torch_weights.fine_tuned_state(
      torch_weights.mae_state(torch_weights.hugging_face_mae()), norm='norm'
  )
  path = save(state)
  with pytest.raises(errors.InputError, match='give --preprocessing=imagenet'):
    convert.import_weights(path, tmp_path / 'vit')
  convert.import_weights(path, tmp_path / 'vit', preprocessing='half')
  augment = runs.read_config(tmp_path / 'vit')['augment']
  assert tuple(augment['mean']) == tuple(augment['std']) == (0.5,) * 3
  card = json.loads((tmp_path / 'vit' / 'card.json').read_text())
  assert 'timm' in card['project']


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_weights_with_nan_or_inf_are_refused(save, tmp_path, value):
  twin = network()
  twin.blocks[1][0].bn2.weight.data[3] = value
  with pytest.raises(errors.InputError, match=r'blocks\.1\.0\.bn2\.weight has'):
    convert.import_weights(save(twin), tmp_path / 'net')
  assert not (tmp_path / 'net').exists()


@pytest.mark.parametrize(
    ('prefix', 'suffix'),
    [
        ('module.', 'pth.tar'),
        ('model.', 'ckpt'),
        ('_orig_mod.', 'bin'),
        ('module._orig_mod.model.', 'pt'),
        ('net.backbone.', 'pkl'),
    ],
)
def test_prefixes_and_suffixes_of_training_scripts(
    save, tmp_path, prefix, suffix
):
  twin = network()
  state = {f'{prefix}{k}': value for k, value in twin.state_dict().items()}
  path = save({'state_dict': state, 'epoch': 3}, f'net.{suffix}')
  convert.import_weights(path, tmp_path / 'net', arch='tf_efficientnet_b0')
  verify(tmp_path / 'net', original_logits(twin, *IMAGENET))


@pytest.mark.parametrize(
    'second', ['model_ema', 'state_dict_ema', 'ema', 'teacher']
)
def test_one_of_several_networks_is_chosen(save, tmp_path, second):
  first, other = network(), network()
  other.classifier.bias.data += 1.0
  states = {'model': first.state_dict(), second: other.state_dict()}
  path = save(states | {'epoch': 1, 'optimizer': {'state': {}}})
  options = {'arch': 'tf_efficientnet_b0'}
  with pytest.raises(errors.InputError, match=f'networks .model, {second}.;'):
    convert.import_weights(path, tmp_path / 'net', **options)
  with pytest.raises(errors.InputError, match='--state_dict=best: '):
    convert.import_weights(path, tmp_path / 'x', state_dict='best', **options)
  for key, twin in (('model', first), (second, other)):
    convert.import_weights(path, tmp_path / key, state_dict=key, **options)
    verify(tmp_path / key, original_logits(twin, *IMAGENET))


def test_the_training_checkpoint_of_arcface_torch(save, tmp_path):
  twin = torch_networks.randomise(iresnet.IResNet((1, 1, 1, 1), 32)).eval()
  path = save(
      {
          'epoch': 3,
          'global_step': 100,
          'state_dict_backbone': twin.state_dict(),
          'state_dict_softmax_fc': {'weight': torch.ones(7, 512)},
          'state_optimizer': {'state': {0: {'momentum_buffer': torch.ones(3)}}},
          'state_lr_scheduler': {'last_epoch': 100},
      },
      'checkpoint_gpu_0.pt',
  )
  report = convert.import_weights(path, tmp_path / 'net')
  assert 'convnet iresnet_nano' in report[0]
