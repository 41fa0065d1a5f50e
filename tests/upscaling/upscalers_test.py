"""Networks and Lanczos as `upscale` uses them: weights, programs, devices, options."""

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import torch

from abaw_jax.conversion import convert
from abaw_jax.core import errors
from abaw_jax.upscaling import command, upscalers
from benchmarks.twins import super_resolution as twins


@pytest.fixture(name='weights', scope='module')
def _weights(tmp_path_factory):
  """Returns a folder of weights of a network that enlarges 2 times."""
  folder = tmp_path_factory.mktemp('compact')
  twin = twins.SRVGGNetCompact(2, 4, 1)
  torch.save(twin.state_dict(), folder / 'compact.pth')
  convert.import_weights(folder / 'compact.pth', folder / 'weights')
  return folder / 'weights'


def test_a_network_is_compiled_once_for_images_of_one_size(weights):
  network = upscalers.load(str(weights), batch_size=2)
  for side in (30, 32):
    image = np.zeros((side, 32, 3), np.uint8)
    for _ in range(2):
      assert len(list(network(enumerate([image] * 5)))) == 5
  # Batches of 2 and of 1.
  assert network._compiled._cache_size() == 2


def test_area_interpolation_equals_pillow():
  rng = np.random.default_rng(0)
  image = rng.random((8, 12)).astype(np.float32)
  images = jnp.asarray(np.stack([image] * 3, -1)[None])
  for new in (1, 2, 3, 4):
    found = upscalers.area(images, 4, new)
    want = PIL.Image.fromarray(image).resize(
        (3 * new, 2 * new), PIL.Image.Resampling.BOX
    )
    if 4 % new == 0:  # Pillow takes whole pixels only
      np.testing.assert_allclose(found[0, ..., 0], want, atol=1e-6)
    np.testing.assert_allclose(np.mean(found), image.mean(), atol=1e-6)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'model': 'lanczos'}, 'give --scale'),
        (
            {'model': 'lanczos', 'scale': 2, 'dtype': 'bfloat16'},
            'omit --batch_size, --dtype, --tile and --overlap',
        ),
        ({'model': 'nothing'}, '--model=nothing: no such folder'),
        ({'scale': 3}, 'enlarges 2 times'),
        ({'batch_size': 3, 'tile': 40}, '--tile=40: is no multiple of 16'),
    ],
)
def test_wrong_options_are_one_line(weights, tmp_path, options, words):
  PIL.Image.new('RGB', (24, 20)).save(tmp_path / 'a.png')
  with pytest.raises(errors.InputError, match=words):
    command.upscale(
        tmp_path / 'a.png',
        tmp_path / 'out',
        **{'model': str(weights)} | options,
    )
  assert not (tmp_path / 'out').exists()
