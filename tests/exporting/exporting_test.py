"""Exported networks give the rows of the bundle, in a process without this package."""

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.bundles import bundle as bundles
from abaw_jax.bundles import networks, storage, writing
from abaw_jax.conversion import convert
from abaw_jax.core import errors, labels
from abaw_jax.distributed import sharding
from abaw_jax.exporting import checking, command, functions, stablehlo
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.postprocessing import postprocess, postprocessing_files
from tests.training import runs

WINDOW = 5
SIZE = 48  # of faces; the network reads 64
TEMPORAL = {
    'gru': ('mtl_gru', True),
    'tcn': ('mtl_tcn', False),
    'learned': ('mtl', False),
}
# A program that fails if it imports this package.
BLOCKED = (
    'import runpy, sys; sys.modules["abaw_jax"] = None; sys.argv = sys.argv[1:]; '
    'runpy.run_path(sys.argv[0], run_name="__main__")'
)


def random_weights(part, shapes, seed):
  """Returns weights by path, with positive scales and deviations."""
  rng = np.random.default_rng(seed)
  found = {}
  for path, x in jax.tree_util.tree_leaves_with_path(shapes):
    name = f'{part}/{sharding.path_name(path)}'
    one = name.rsplit('/')[-1] in ('scale', 'std', 'var')
    found[name] = (one + rng.normal(0, 0.1, x.shape)).astype(np.float32)
  return found


def write(folder, name):
  """Writes a bundle of random weights; `name` is a key of TEMPORAL, or 'frame'."""
  model = runs.smoke('frame', folder)['model']
  sections = []
  if name != 'frame':
    model = zoo.backbone_section(model)
    config, carried = TEMPORAL[name]
    section = runs.smoke(config, folder)['model']
    if name == 'learned':
      section |= {'positions': 'learned', 'max_length': 16, 'causal': True}
    sections.append(
        {
            'model': section,
            'feature_dim': zoo.make_backbone(model).dim,
            'window': WINDOW,
            'carried': carried,
            'stride': WINDOW,
        }
    )
  network = zoo.make_model(**model)
  shapes = jax.eval_shape(
      lambda: variables.init(
          network, jax.random.key(0), jnp.zeros((1, 64, 64, 3))
      )
  )
  tensors = random_weights('frame', shapes, 0)
  for section in sections:
    shapes = networks.temporal_shapes(section['model'], section['feature_dim'])
    tensors |= random_weights('temporal0', shapes, 1)
  config = {
      'format': storage.FORMAT,
      'version': storage.VERSION,
      'name': name,
      'abaw_jax': '0',
      'licence': 'none',
      'frame': {'model': model, 'features': ['embedding'], 'classes': None},
      'preprocessing': {
          'mean': [0.5, 0.4, 0.3],
          'std': [0.2, 0.2, 0.3],
          'color_order': 'RGB',
          'fit': 'crop',
          'filter': 'opencv',
          'image_size': SIZE,
          'views': 2,
      },
      'alignment': {'method': 'box', 'size': SIZE, 'margin': 0.1},
      'temporal': sections,
      'labels': {
          'outputs': ['valence', 'arousal', 'expression', 'au'],
          'expressions': ['Happiness', 'Neutral', 'Anger'],
          'aus': list(labels.AU_NAMES[2:6]),
      },
      'untrained': {},
      'postprocessing': postprocessing_files.to_json(
          postprocess.Postprocessing.equal_weights(1)
      ),
      'provenance': {'frame': {'run': 'x', 'data': {}}, 'temporal': []},
      'scores': {},
  }
  writing._write(folder / name, json.loads(json.dumps(config)), tensors)
  return folder / name


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp('exporting')


@pytest.fixture(scope='module')
def faces():
  rng = np.random.default_rng(3)
  return rng.integers(0, 256, (8, SIZE, SIZE, 3)).astype(np.uint8)


@pytest.mark.parametrize('name', ['frame', 'gru', 'tcn'])
def test_the_example_gives_the_rows_of_the_bundle(folder, faces, name):
  source, out = write(folder, name), folder / f'{name}_exported'
  report = command.export(source, out, file_format='stablehlo')
  assert all('largest error' in line for line in report)
  np.save(folder / 'faces.npy', faces)
  done = subprocess.run(
      [sys.executable, '-c', BLOCKED, out / 'run.py', 'faces.npy', 'rows.npz'],
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
  assert card['platforms'] == ['cpu', 'cuda', 'tpu']
  if name == 'gru':
    assert card['temporal']['temporal0']['carry']
  with pytest.raises(errors.InputError, match='exists; give another --out'):
    command.export(source, out, file_format='stablehlo')


def test_learned_positions_limit_the_length(folder):
  source, out = write(folder, 'learned'), folder / 'learned_exported'
  command.export(source, out, file_format='stablehlo')
  card = json.loads((out / 'model.json').read_text())
  assert card['temporal']['temporal0']['max_length'] == 16
  assert card['temporal']['temporal0']['largest_error'] < 1e-4


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


def test_a_state_dict_for_pytorch_has_all_weights(folder):
  source, out = write(folder / 'torch', 'frame'), folder / 'state'
  command.export(source, out, file_format='torch')
  state = torch.load(out / 'backbone.pth', weights_only=True)['model']
  params = convert.flat(storage.read_bundle(source).frame.params)
  kernel = params['backbone/blocks_0/attn/qkv/kernel']
  np.testing.assert_array_equal(state['blocks.0.attn.qkv.weight'], kernel.T)


def test_temporal_models_have_no_state_dict(folder):
  source = write(folder / 'refused', 'gru')
  with pytest.raises(errors.InputError, match='give --format=stablehlo'):
    command.export(source, folder / 'no', file_format='torch')
  assert not (folder / 'no').exists()
