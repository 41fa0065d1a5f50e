"""A checkpoint can be restored on any mesh, bit for bit."""

import json
import pathlib

import jax
import numpy as np
import pytest

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.checkpoints import parameters
from abaw_jax.checkpoints import runs as run_files
from abaw_jax.core import errors
from tests.steps import meshes
from tests.training import runs

# Updates on the mesh that saves, and on the mesh that restores.
BEFORE, AFTER = 2, 3
# (devices, zero, fsdp) of the mesh that saves and the mesh that restores;
# (8, 2, 2) is data x zero x fsdp = 2 x 2 x 2.
MOVES = {
    'eight to one': ((8, 2, 2), (1, 1, 1)),
    'one to eight': ((1, 1, 1), (8, 8, 1)),
    '2x2x2 to 1x8x1': ((8, 2, 2), (8, 8, 1)),
    '1x8x1 to 2x2x2': ((8, 8, 1), (8, 2, 2)),
}


@pytest.fixture(scope='module')
def config(feature_dir) -> dict:
  """Returns the config of the training."""
  return runs.smoke(
      'mtl',
      feature_dir,
      model__depth=1,
      data__batch_size=8,
      data__window=8,
      data__stride=4,
  )


@pytest.fixture(scope='module')
def here(config, tmp_path_factory) -> pathlib.Path:
  """Returns the workdir of a checkpoint from this process, with one device."""
  workdir = tmp_path_factory.mktemp('here')
  training = meshes.Training(config)
  training.start()
  training.run(BEFORE)
  training.save(workdir)
  run_files.claim(workdir, config)
  return workdir


@pytest.fixture(scope='module')
def moved(config, here, tmp_path_factory):
  """Returns (folder of workdirs, results of a process with eight devices)."""
  root = tmp_path_factory.mktemp('moved')
  (root / 'job.json').write_text(
      json.dumps(
          {
              'config': config,
              'moves': MOVES,
              'counts': (BEFORE, AFTER),
              'here': str(here),
          }
      )
  )
  process = runs.start('tests.steps.meshes', str(root), JAX_NUM_CPU_DEVICES='8')
  status, _, error = runs.finish(process)
  assert status == 0, error
  return root, json.loads((root / 'done.json').read_text())


@pytest.mark.parametrize('move', MOVES)
def test_parameters_and_moments_are_the_same_bits(moved, move):
  result = moved[1][move]
  assert result['differing'] == []
  assert result['leaves'] > 50


@pytest.mark.parametrize('move', MOVES)
def test_parameters_and_moments_are_split_over_the_new_mesh(moved, move):
  _, (_, zero, fsdp) = MOVES[move]
  shares = moved[1][move]['shares']
  # The kernel and both of its moments.
  assert len(shares) == 3
  assert set(shares.values()) == {1 / (zero * fsdp)}


@pytest.mark.parametrize('move', MOVES)
def test_training_continues_with_the_same_losses(moved, move):
  result = moved[1][move]
  assert len(result['losses']) == AFTER
  # Several devices add the same terms in a different order.
  np.testing.assert_allclose(result['losses'], result['unmoved'], rtol=1e-5)


def test_one_device_resumes_from_a_checkpoint_of_eight(config, moved):
  root, results = moved
  training = meshes.Training(config)
  training.restore(root / 'eight to one')
  found = meshes.digests(training.state)
  assert found == results['eight to one']['digests']
  losses = training.run(AFTER)
  np.testing.assert_allclose(
      losses, results['eight to one']['unmoved'], rtol=1e-5
  )


def test_eight_devices_load_the_parameters_of_one(config, here, moved):
  training = meshes.Training(config)
  params, step = parameters.load(here, training.shapes.params)
  assert step == BEFORE
  assert moved[1]['started'] == meshes.digests(params)


def test_another_depth_is_refused_with_parameter_paths(config, here):
  other = config | {'model': config['model'] | {'depth': 2}}
  training = meshes.Training(other)
  path = 'encoder/layers_1/attn/qkv/kernel'
  with pytest.raises(errors.InputError, match=f'missing {path}') as resumed:
    training.restore(here)
  with pytest.raises(errors.InputError, match=f'missing {path}') as started:
    parameters.load(here, training.shapes.params)
  for error in (resumed, started):
    assert f'{here.resolve() / "checkpoints" / str(BEFORE)}: ' in str(error)
    assert 'choose the config.model' in str(error)
  with pytest.raises(errors.InputError, match='depth was 1, is 2'):
    run_files.check(here, other)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'clip_norm': 0.0}, 'missing opt_state/'),
        ({'freeze': 'encoder'}, 'extra opt_state/'),
    ],
)
def test_another_optimizer_is_refused_with_parameter_paths(
    config, here, change, words
):
  # The config check cannot refuse this, because some settings of an optimizer
  # may change when a run resumes.
  other = config | {'optim': config['optim'] | change}
  assert run_files.check(here, other)
  training = meshes.Training(other)
  with pytest.raises(errors.InputError, match=words) as error:
    training.restore(here)
  assert 'the state of another optimizer' in str(error)
  assert (
      f'--config.init_from={here.resolve()} to start from its weights'
      in str(error)
  )


def test_restores_do_not_change_the_checkpoint(config, here):
  checkpoints = checkpoint.Checkpoints(here, score='P_MTL', best='max')
  assert checkpoints.latest_step() == BEFORE
  checkpoints.close()
  assert jax.device_count() == 1
