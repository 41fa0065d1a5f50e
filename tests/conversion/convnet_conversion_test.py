"""Converted convolutional networks give PyTorch's outputs; export is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.checkpoints import runs, weights
from abaw_jax.configs import convnet
from abaw_jax.conversion import convert, parity_check
from abaw_jax.core import errors
from abaw_jax.models import convnet_zoo
from abaw_jax.models.convnets import densenet
from abaw_jax.porting import weight_files
from abaw_jax.tasks import registry
from benchmarks.twins import densenet as torch_densenet
from benchmarks.twins import iresnet
from tests.porting.layouts import torch_networks

SIZE = 32


@pytest.fixture(name='twin', scope='module')
def _twin() -> torch.nn.Module:
  twin = iresnet.IResNet((1, 1, 1, 1), SIZE)
  return torch_networks.randomise(twin).eval()


@pytest.fixture(name='file', scope='module')
def _file(twin, tmp_path_factory):
  path = tmp_path_factory.mktemp('file') / 'backbone.pth'
  torch.save(twin.state_dict(), path)
  return path


@pytest.fixture(name='converted', scope='module')
def _converted(file):
  """Returns the folder of weights of the file."""
  folder = file.with_name('weights')
  report = convert.import_weights(file, folder, arch='iresnet_nano')
  assert 'convnet iresnet_nano' in report[0]
  return folder


def test_round_trip_is_exact(twin, converted, tmp_path):
  convert.export_weights(converted, tmp_path / 'back.pth')
  back = torch.load(tmp_path / 'back.pth', weights_only=True)['model']
  state = {
      name: value
      for name, value in twin.state_dict().items()
      if not name.endswith('num_batches_tracked')
  }
  assert back.keys() == state.keys()
  for name, value in state.items():
    np.testing.assert_array_equal(back[name], value)
  assert not twin.load_state_dict(back, strict=True).missing_keys


def test_a_frame_model_starts_with_its_statistics(converted):
  config = convnet.get_config('smoke').to_dict()
  task = registry.make_task(config)
  batch = {'image': jnp.zeros((1, SIZE, SIZE, 3), jnp.uint8)}
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  shapes = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
      jax.eval_shape(task.init, jax.random.key(0), batch),
  )
  params, _ = weights.load(converted, config['model'], shapes)
  stored, _ = weight_files.read_tensors(converted / 'weights.safetensors')
  assert set(params) == {'backbone', 'batch_stats'}
  norm = params['batch_stats']['backbone']['stem_norm']
  np.testing.assert_array_equal(
      norm['var'], stored['batch_stats/backbone/stem_norm/var']
  )
  np.testing.assert_array_equal(
      params['backbone']['head_fc']['kernel'],
      stored['backbone/head_fc/kernel'],
  )


def test_a_classifier_keeps_its_classes(tmp_path, monkeypatch):
  sizes = {'layers': (1, 2), 'growth': 4, 'stem_width': 8, 'grey': False}
  tiny = (densenet.DenseNet, sizes)
  monkeypatch.setitem(convnet_zoo.CONVNETS, 'densenet_tiny', tiny)
  twin = torch_densenet.DenseNet((1, 2), 4, 8, num_classes=7)
  torch_networks.randomise(twin).eval()
  torch.save(twin.state_dict(), tmp_path / 'net.pth')
  convert.import_weights(
      tmp_path / 'net.pth', tmp_path / 'weights', image_size=SIZE
  )
  section = runs.read_config(tmp_path / 'weights')['model']
  assert section['num_classes'] == 7
  pixels = torch_networks.images(SIZE, 2)
  logits = twin(torch_networks.to_torch(pixels))['logits'].detach().numpy()
  np.savez(tmp_path / 'reference.npz', images=pixels, logits=logits)
  (line,) = parity_check.check_outputs(
      tmp_path / 'weights', tmp_path / 'reference.npz'
  )
  assert line.startswith('logits: differs by')


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        ({'arch': 'iresnet_50'}, 'has iresnet_nano'),
        ({'num_heads': 4}, '--num_heads=4'),
        ({'image_size': 64}, 'backbone/head_fc/kernel'),
    ],
)
def test_wrong_options_are_refused(file, tmp_path, options, text):
  with pytest.raises(errors.InputError, match=text):
    convert.import_weights(file, tmp_path / 'weights', **options)
  assert not (tmp_path / 'weights').exists()


def test_unknown_sizes_list_the_known_networks(tmp_path):
  twin = iresnet.IResNet((1, 1, 1, 2), SIZE)
  torch.save(twin.state_dict(), tmp_path / 'net.pth')
  with pytest.raises(
      errors.InputError, match='convert one of iresnet_nano, iresnet_18'
  ):
    convert.import_weights(tmp_path / 'net.pth', tmp_path / 'weights')


def save(path, twin, pixels, **changes):
  """Writes a reference file for `--verify`."""
  normalised = (pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
  embedding = twin(torch_networks.to_torch(normalised))['embedding']
  arrays = {'images': pixels, 'embedding': embedding.detach().numpy()}
  np.savez(path, **arrays | changes)
  return path


@pytest.fixture(name='images')
def _images():
  return np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)


def test_the_embedding_equals_that_of_torch(twin, converted, images, tmp_path):
  path = save(tmp_path / 'reference.npz', twin, images)
  (line,) = parity_check.check_outputs(converted, path)
  assert line.startswith('embedding: differs by')


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'embedding': np.ones((2, 512), np.float32)}, 'gives other outputs'),
        (
            {'embedding': np.ones((2, 500), np.float32)},
            r'the reference is \(2, 500\)',
        ),
        ({'logits': np.ones((2, 7), np.float32)}, 'no classifier'),
        ({'hidden': np.ones((2, 7), np.float32)}, 'embedding or logits'),
        (
            {'images': np.ones((2, 8, 8), np.uint8)},
            r'give images \[n, h, w, 3\]',
        ),
        ({'images': np.ones((2, 8, 8, 3), np.int64)}, 'images are int64'),
    ],
)
def test_a_wrong_reference_is_refused(
    twin, converted, images, tmp_path, changes, text
):
  path = save(tmp_path / 'reference.npz', twin, images, **changes)
  with pytest.raises(errors.InputError, match=text):
    parity_check.check_outputs(converted, path)
