"""One device and eight, with or without FSDP, give the same training."""

import contextlib
import io
import json
import pathlib
import sys

from absl import flags
import numpy as np
import pytest

from abaw_jax.tasks import registry
from abaw_jax.training import loop
from tests.training import runs

STEPS = 3
BATCH = 16
EIGHT = {'JAX_NUM_CPU_DEVICES': '8'}
SPLIT = {'mesh__fsdp': 2, 'mesh__zero': 2}
# Options by experiment and devices.
# The MAE uses microbatches, and options that must not change a loss.
MAE = {'optim__microbatches': 2, 'model__decoder_depth': 1}
# A generator and its discriminator.
SR = {
    'model__width': 4,
    'model__convs': 1,
    'model__discriminator_width': 4,
    'model__image_size': 16,
    'data__face_size': 16,
    'optim__eps': 1e-4,
}
RUNS = {
    ('mae', 'one'): MAE,
    ('mae', 'split'): MAE
    | SPLIT
    | {'model__scan': True, 'model__remat': 'dots'},
    ('mtl', 'one'): {},
    ('mtl', 'eight'): {},
    ('mtl', 'split'): SPLIT,
    ('sr', 'one'): SR,
    ('sr', 'split'): SR | SPLIT,
}
# Start of a process with eight devices, its runs and its environment.
PROCESSES = (
    # Shows the warnings of XLA, which compiles the programs.
    (
        runs.start_interpreter,
        [('mae', 'split')],
        EIGHT
        | {'TF_CPP_MIN_LOG_LEVEL': '1', 'JAX_ENABLE_COMPILATION_CACHE': '0'},
    ),
    (runs.start, [('mtl', 'eight'), ('mtl', 'split'), ('sr', 'split')], EIGHT),
)


def main(jobs: str) -> None:
  """Trains after JSON: a list of (workdir, experiment, data, overrides)."""
  for workdir, experiment, data, overrides in json.loads(jobs):
    config = runs.smoke(experiment, pathlib.Path(data), **overrides)
    loop.train(config, pathlib.Path(workdir))


@pytest.fixture(scope='module')
def workdirs(data_dir, feature_dir, tmp_path_factory):
  """Returns (workdir, stdout, stderr) by (experiment, devices)."""
  root = tmp_path_factory.mktemp('devices')
  jobs = {}
  for (experiment, devices), options in RUNS.items():
    data = feature_dir if experiment == 'mtl' else data_dir
    source = registry.make_task(runs.smoke(experiment, data)).source('train')
    overrides = options | {
        'data__batch_size': BATCH,
        'epochs': STEPS * BATCH / len(source),
        'eval_epochs': 0.0,
        'optim__warmup_epochs': 0.0,
        'log_steps': 1,
    }
    workdir = str(root / f'{experiment}_{devices}')
    jobs[experiment, devices] = workdir, experiment, str(data), overrides
  started = [
      start(
          'tests.steps.devices_test', json.dumps([jobs[x] for x in keys]), **env
      )
      for start, keys, env in PROCESSES
  ]
  results = {}
  for key in (('mae', 'one'), ('mtl', 'one'), ('sr', 'one')):
    with contextlib.redirect_stdout(io.StringIO()) as out:
      main(json.dumps([jobs[key]]))
    results[key] = out.getvalue(), ''
  for (_, keys, _), process in zip(PROCESSES, started, strict=True):
    status, out, error = runs.finish(process)
    assert status == 0, error
    results |= dict.fromkeys(keys, (out, error))
  return {
      key: (pathlib.Path(jobs[key][0]), *texts)
      for key, texts in results.items()
  }


@pytest.mark.parametrize(
    ('experiment', 'devices'), [run for run in RUNS if run[1] != 'one']
)
def test_losses_are_the_same_as_on_one_device(workdirs, experiment, devices):
  one, out, _ = workdirs[experiment, 'one']
  assert ' on 1 x ' in out
  ours, out, _ = workdirs[experiment, devices]
  assert ' on 8 x ' in out
  assert ' on 1 x ' not in out
  # Several devices add the same terms in a different order. Scores are in
  # [-1, 1] and can be close to 0, so they need an absolute tolerance.
  for split, tolerance in {
      'train': {'rtol': 1e-5},
      'validation': {'rtol': 1e-5, 'atol': 1e-5},
  }.items():
    expected, found = runs.metrics(one, split), runs.metrics(ours, split)
    assert list(found) == list(expected)
    for step, line in expected.items():
      for name in line.keys() - {'split'} - runs.TIMED:
        np.testing.assert_allclose(
            found[step][name],
            line[name],
            **tolerance,
            err_msg=f'{step} {name}',
        )
  assert list(runs.metrics(one)) == list(range(1, STEPS + 1))


def test_split_parameters_do_not_reshard_activations(workdirs):
  # XLA warns when it must replicate a tensor to change its sharding.
  _, _, error = workdirs['mae', 'split']
  assert 'rematerialization' not in error


def test_parameters_and_moments_are_split_in_four(feature_dir):
  script = f"""
import json
import pathlib
from absl import flags
import jax
from abaw_jax.distributed import sharding
from tests.steps import meshes
from tests.training import runs

flags.FLAGS.mark_as_parsed()
config = runs.smoke('mtl', pathlib.Path({str(feature_dir)!r}))
training = meshes.Training(config, devices=8, zero=2, fsdp=2)
training.start()
training.batches.close()
print(json.dumps({{
    sharding.path_name(path): [
        {{'zero', 'fsdp'}} <= set(leaf.sharding.spec),
        leaf.size / leaf.addressable_shards[0].data.size,
    ]
    for path, leaf in jax.tree_util.tree_leaves_with_path(training.state)
    if 'qkv' in sharding.path_name(path)
}}))
"""
  status, out, error = runs.finish(runs.start_code(script, **EIGHT))
  assert status == 0, error
  leaves = json.loads(out)
  kernels = {path: leaf for path, leaf in leaves.items() if 'kernel' in path}
  # The kernel and both of its moments.
  assert len(kernels) == 3
  assert set(map(tuple, kernels.values())) == {(True, 4.0)}
  biases = {path: leaf for path, leaf in leaves.items() if 'bias' in path}
  assert set(map(tuple, biases.values())) == {(False, 1.0)}


if __name__ == '__main__':
  flags.FLAGS.mark_as_parsed()  # Grain reads flags
  main(*sys.argv[1:])
