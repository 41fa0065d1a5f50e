"""One device and eight, with or without FSDP, give the same training."""

import functools
import json
import subprocess
import sys

import numpy as np
import pytest

from abaw_jax.tasks import registry
from tests.training import runs

STEPS = 6
BATCH = 16
EIGHT = {'JAX_NUM_CPU_DEVICES': '8'}
# Name: (environment, extra arguments).
DEVICES = {
    'one': ({}, ()),
    'eight': (EIGHT, ()),
    # Shows the warnings of XLA.
    'split': (
        EIGHT | {'TF_CPP_MIN_LOG_LEVEL': '1'},
        ('--config.mesh.fsdp=2', '--config.mesh.zero=2'),
    ),
}
# The MAE uses microbatches.
EXPERIMENTS = {'mae': ('--config.optim.microbatches=2',), 'mtl': ()}
# `split` covers everything that `eight` covers.
RUNS = (
    ('mae', 'one'), ('mae', 'eight'), ('mae', 'split'),
    ('mtl', 'one'), ('mtl', 'split'),
)  # fmt: skip
# Other options that must not change a loss.
WAYS = {
    ('mae', 'split'): ('--config.model.scan=True', '--config.model.remat=dots')
}


@pytest.fixture(scope='module')
def workdirs(data_dir, feature_dir, tmp_path_factory):
  """Returns (workdir, stdout, stderr) by (experiment, devices)."""
  root = tmp_path_factory.mktemp('devices')
  starts = {}
  for experiment, name in RUNS:
    data = feature_dir if experiment == 'mtl' else data_dir
    source = registry.make_task(runs.smoke(experiment, data)).source('train')
    env, more = DEVICES[name]
    starts[experiment, name] = functools.partial(
        runs.start,
        'abaw_jax.train',
        f'--config={runs.ROOT / "configs" / experiment}.py:smoke',
        f'--workdir={root / experiment / name}',
        '--config.data.name=s_aff_wild2',
        f'--config.data.dir={data}',
        f'--config.data.batch_size={BATCH}',
        f'--config.epochs={STEPS * BATCH / len(source)}',
        '--config.eval_epochs=0',
        '--config.optim.warmup_epochs=0',
        '--config.log_steps=1',
        *EXPERIMENTS[experiment],
        *more,
        *WAYS.get((experiment, name), ()),
        **env,
    )
  results = runs.finish_all(starts)
  assert [error for status, _, error in results.values() if status] == []
  return {
      (experiment, name): (root / experiment / name, out, error)
      for (experiment, name), (_, out, error) in results.items()
  }


@pytest.mark.parametrize(
    ('experiment', 'devices'), [run for run in RUNS if run[1] != 'one']
)
def test_losses_are_the_same_as_on_one_device(workdirs, experiment, devices):
  one, out, _ = workdirs[experiment, 'one']
  assert ' on 1 x ' in out
  ours, out, _ = workdirs[experiment, devices]
  assert ' on 8 x ' in out
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
  done = subprocess.run(
      [sys.executable, '-c', script],
      cwd=runs.ROOT,
      env=runs.environment(**EIGHT),
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 0, done.stderr
  leaves = json.loads(done.stdout)
  kernels = {path: leaf for path, leaf in leaves.items() if 'kernel' in path}
  # The kernel and both of its moments.
  assert len(kernels) == 3
  assert set(map(tuple, kernels.values())) == {(True, 4.0)}
  biases = {path: leaf for path, leaf in leaves.items() if 'bias' in path}
  assert set(map(tuple, biases.values())) == {(False, 1.0)}
