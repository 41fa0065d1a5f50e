"""Exported networks give the rows of the bundle, in a process without this package."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from abaw_jax.bundles import bundle as bundles
from abaw_jax.bundles import storage
from abaw_jax.conversion import convert
from abaw_jax.core import errors
from abaw_jax.exporting import checking, command, functions, stablehlo
from benchmarks.export import random_bundles
from tests.training import runs

WINDOW = 5
SIZE = 48  # of faces; the network reads 64
TEMPORAL = {
    'gru': ('mtl_gru', True),
    'tcn': ('mtl_tcn', False),
    'learned': ('mtl', False),
}
# A program that fails if it imports some packages.
BLOCKED = (
    'import runpy, sys; sys.modules |= dict.fromkeys({}); sys.argv = sys.argv[1:]; '
    'runpy.run_path(sys.argv[0], run_name="__main__")'
)


def write(folder, name):
  """Writes a bundle of random weights; `name` is a key of TEMPORAL, or 'frame'."""
  model = runs.smoke('frame', folder)['model']
  sections = []
  if name != 'frame':
    config, carried = TEMPORAL[name]
    section = runs.smoke(config, folder)['model']
    if name == 'learned':
      section |= {'positions': 'learned', 'max_length': 16, 'causal': True}
    sections.append({'model': section, 'window': WINDOW, 'carried': carried})
  return random_bundles.write(
      folder / name, model, sections, face_size=SIZE, views=2
  )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp('exporting')


@pytest.fixture(scope='module')
def faces():
  rng = np.random.default_rng(3)
  return rng.integers(0, 256, (8, SIZE, SIZE, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ('name', 'file_format', 'example'),
    [
        ('frame', 'stablehlo', 'run.py'),
        ('gru', 'stablehlo', 'run.py'),
        ('tcn', 'stablehlo', 'run.py'),
        ('gru', 'onnx', 'run_onnx.py'),
        ('learned', 'onnx', 'run_onnx.py'),
    ],
)
def test_the_example_gives_the_rows_of_the_bundle(
    folder, faces, name, file_format, example
):
  source, out = write(folder, name), folder / f'{name}_{file_format}'
  report = command.export(source, out, file_format=file_format)
  assert all('largest error' in line for line in report)
  np.save(folder / 'faces.npy', faces)
  blocked = ['abaw_jax', 'jax'][: 1 + (file_format == 'onnx')]
  python = sys.executable, '-c', BLOCKED.format(blocked)
  done = subprocess.run(
      [*python, out / example, 'faces.npy', 'rows.npz'],
      cwd=folder,
      env=runs.environment(PYTHONPATH=''),
      capture_output=True,
      text=True,
  )
  assert done.returncode == 0, done.stderr
  found = dict(np.load(folder / 'rows.npz'))
  predictor = bundles.load(source)
  features = predictor.embed(faces)
  np.testing.assert_allclose(found['features'], features, atol=1e-4)
  track, numbers = predictor.track(), np.arange(len(faces))
  parts = [track.push(features, numbers, numbers / 30), track.finish()]
  prefix = '' if name == 'frame' else 'temporal0/'
  for key in predictor.outputs:
    want = np.concatenate([getattr(part, key) for part in parts])
    if key == 'expression':  # post-processing keeps the odds
      assert want.shape == (8, 3)
    np.testing.assert_allclose(found[prefix + key], want, atol=1e-4)
  card = json.loads((out / 'model.json').read_text())
  assert card['frame']['largest_error'] < 1e-4
  assert card['frame']['inputs'][0]['shape'] == ['b', SIZE, SIZE, 3]
  if name != 'frame':
    facts = card['temporal']['temporal0']
    assert bool(facts['carry']) is (name == 'gru')
    assert facts['max_length'] == (16 if name == 'learned' else None)
  with pytest.raises(errors.InputError, match='exists; give another --out'):
    command.export(source, out, file_format=file_format)


def test_a_missing_package_is_one_line(monkeypatch):
  monkeypatch.setattr(stablehlo.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.InputError, match='pip install'):
    stablehlo.check_installed()


def test_a_wrong_program_gets_no_name(folder, monkeypatch):
  source, out = write(folder / 'wrong', 'frame'), folder / 'none'
  load = stablehlo.load

  def wrong(content):
    call = load(content)
    return lambda x: {k: v + 0.2 for k, v in call(x).items()}

  monkeypatch.setattr(stablehlo, 'load', wrong)
  with pytest.raises(errors.InputError, match=r'differs by .* from JAX'):
    command.export(source, out, file_format='stablehlo')
  assert not out.exists()


def test_nan_is_no_agreement():
  tensor = functions.Tensor('x', 'float32', ('b',), '')
  function = functions.Function(
      name='f', call=lambda x: {'x': x}, inputs=(tensor,), outputs=(tensor,)
  )
  batch = (np.zeros(2, np.float32),)
  nan = lambda x: {'x': x * np.nan}  # noqa: E731
  with pytest.raises(errors.InputError, match='differs by nan'):
    checking.largest_error(function, nan, [batch], pathlib.Path('f'))


def test_state_dicts_for_pytorch_have_all_weights(folder, faces):
  source, out = write(folder / 'torch', 'frame'), folder / 'state'
  command.export(source, out, file_format='torch')
  state = torch.load(out / 'backbone.pth', weights_only=True)['model']
  params = convert.flat(storage.read_bundle(source).frame.params)
  kernel = params['backbone/blocks_0/attn/qkv/kernel']
  np.testing.assert_array_equal(state['blocks.0.attn.qkv.weight'], kernel.T)
  predictor = bundles.load(source)
  sizes = {'valence': 1, 'arousal': 1, 'expression': 3, 'au': 4}
  features = np.array(predictor.embed(faces[:2]))
  heads = torch.nn.ModuleDict(
      {k: torch.nn.Linear(features.shape[1], n) for k, n in sizes.items()}
  )
  heads.load_state_dict(
      torch.load(out / 'heads.pth', weights_only=True)['model']
  )
  rows = predictor.track().push(features, np.arange(2), np.arange(2) / 30)
  with torch.no_grad():
    found = {k: f(torch.tensor(features)) for k, f in heads.items()}
  for name, values in (
      ('valence', found['valence'][:, 0]),
      ('expression', found['expression'].softmax(-1)),
      ('au', found['au'].sigmoid()),
  ):
    np.testing.assert_allclose(values, getattr(rows, name), atol=1e-5)


def test_temporal_models_have_no_state_dict(folder):
  source = write(folder / 'refused', 'gru')
  with pytest.raises(errors.InputError, match='give --format=stablehlo'):
    command.export(source, folder / 'no', file_format='torch')
  assert not (folder / 'no').exists()
