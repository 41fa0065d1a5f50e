"""Converted networks of Real-ESRGAN: identified, complete, and written back."""

import json

import numpy as np
import pytest
import torch

from abaw_jax.checkpoints import runs
from abaw_jax.conversion import convert, parity_check
from abaw_jax.core import errors
from benchmarks.twins import super_resolution as twins

# By name: PyTorch's network, and its `model` section.
NETWORKS = {
    'rrdb': (
        lambda: twins.RRDBNet(2, width=8, growth=4, blocks=1),
        {'scale': 2, 'width': 8, 'growth': 4, 'blocks': 1},
    ),
    'compact': (
        lambda: twins.SRVGGNetCompact(4, width=8, convs=2),
        {'scale': 4, 'width': 8, 'convs': 2},
    ),
}


@pytest.mark.parametrize(
    ('name', 'key'),
    [('rrdb', 'params_ema'), ('compact', 'params'), ('compact', None)],
)
def test_a_file_becomes_a_folder_and_a_file_again(name, key, tmp_path):
  make, sizes = NETWORKS[name]
  state = make().state_dict()
  file, folder, back = (tmp_path / x for x in ('a.pth', 'weights', 'b.pth'))
  torch.save({key: state} if key else state, file)
  report = convert.import_weights(file, folder)
  assert f'sr {name} (' in report[0]
  model = runs.read_config(folder)['model']
  expected = {'name': 'sr', 'network': name, 'dtype': 'float32'} | sizes
  assert model == expected
  convert.export_weights(folder, back)
  written = torch.load(back, weights_only=True)
  assert list(written) == ['params']
  make().load_state_dict(written['params'], strict=True)
  for tensor, value in state.items():
    np.testing.assert_array_equal(written['params'][tensor], value)


def test_the_ema_is_preferred_and_reported(tmp_path):
  raw, ema = (NETWORKS['rrdb'][0]().state_dict() for _ in range(2))
  file = tmp_path / 'net_g_5000.pth'
  torch.save({'params': raw, 'params_ema': ema}, file)
  for key, state in (('params_ema', ema), ('params', raw)):
    folder, back = tmp_path / key, tmp_path / f'{key}.pth'
    chosen = {} if key == 'params_ema' else {'state_dict': key}
    report = convert.import_weights(file, folder, **chosen)
    assert ('state_dict: params_ema' in report) is (not chosen)
    convert.export_weights(folder, back)
    written = torch.load(back, weights_only=True)['params']
    assert torch.equal(written['conv_hr.weight'], state['conv_hr.weight'])
  card = json.loads((tmp_path / 'params_ema' / 'card.json').read_text())
  assert card['report']['state_dict'] == 'params_ema'


def test_outputs_of_the_original_are_compared(tmp_path):
  twin = NETWORKS['rrdb'][0]()
  torch.save(twin.state_dict(), tmp_path / 'rrdb.pth')
  convert.import_weights(tmp_path / 'rrdb.pth', tmp_path / 'weights')
  images = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), np.uint8)
  pixels = torch.tensor(images.transpose(0, 3, 1, 2) / np.float32(255))
  enlarged = twin(pixels).detach().permute(0, 2, 3, 1).numpy()
  file = tmp_path / 'reference.npz'
  np.savez(file, images=images, enlarged=enlarged)
  (line,) = parity_check.check_outputs(tmp_path / 'weights', file)
  assert line.startswith('enlarged: differs by at most ')
  np.savez(file, images=images, enlarged=1.001 * enlarged)
  with pytest.raises(errors.InputError, match='gives other outputs: enlarged'):
    parity_check.check_outputs(tmp_path / 'weights', file)


@pytest.mark.parametrize(
    ('change', 'options', 'words'),
    [
        (
            lambda state: state.pop('body.0.rdb2.conv3.bias'),
            {},
            'missing body.0.rdb2.conv3.bias',
        ),
        (
            lambda state: state.update({'extra.weight': torch.zeros(2)}),
            {},
            'extra extra.weight',
        ),
        (lambda _: None, {'arch': 'compact'}, '--arch=compact: .* has rrdb'),
        (lambda _: None, {'image_size': 64}, '--image_size=64: is for other'),
    ],
)
def test_a_wrong_file_is_one_line(change, options, words, tmp_path):
  state = NETWORKS['rrdb'][0]().state_dict()
  change(state)
  file = tmp_path / 'rrdb.pth'
  torch.save({'params_ema': state}, file)
  with pytest.raises(errors.InputError, match=words):
    convert.import_weights(file, tmp_path / 'weights', **options)
