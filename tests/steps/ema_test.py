"""EMA of the weights: against NumPy, saved, resumed, and in init_from."""

import jax
import numpy as np
import optax
import pytest

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.checkpoints import parameters
from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.inference import evaluation
from abaw_jax.steps import optimization, skipping, steps
from abaw_jax.tasks import inputs, registry
from abaw_jax.training import loop
from tests.models import tiny_networks
from tests.steps import sam_test
from tests.training import runs

STEPS = 4


def test_ema_equals_the_moving_average_in_numpy():
  state, step = sam_test.make(optax.sgd(0.1), sam_test.CountingTask(), ema=0.3)
  want = jax.tree.map(np.float64, state.params)
  for done in range(12):
    state, _ = step(state, sam_test.batch(seed=done))
    decay = min(0.3, (1 + done) / (10 + done))
    want = jax.tree.map(
        lambda old, new, d=decay: d * old + (1 - d) * np.float64(new),
        want,
        state.params,
    )
  jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5),
      state.average,
      want,
  )
  assert state.weights is state.average
  assert not np.allclose(state.average['a']['w'], state.params['a']['w'])


def test_ema_does_not_change_training():
  plain, plain_step = sam_test.make(optax.adam(0.1))
  averaged, step = sam_test.make(optax.adam(0.1), ema=0.9)
  assert plain.average is None
  assert plain.weights is plain.params
  for seed in range(3):
    plain, _ = plain_step(plain, sam_test.batch(seed=seed))
    averaged, _ = step(averaged, sam_test.batch(seed=seed))
  jax.tree.map(np.testing.assert_array_equal, averaged.params, plain.params)


@pytest.fixture(name='run', scope='module')
def _run(data_dir, tmp_path_factory):
  """Returns (folder with a run `full`, its config)."""
  root = tmp_path_factory.mktemp('average')
  config = runs.smoke(
      'frame',
      data_dir,
      optim__ema=0.8,
      # A shorter run has the same schedule only if the rate is constant.
      optim__scale_lr=False,
      optim__lr=1e-3,
      optim__end_lr=1e-3,
      optim__warmup_epochs=0.0,
      epochs=STEPS
      * 8
      / len(registry.make_task(runs.smoke('frame', data_dir)).source('train')),
      eval_epochs=0.0,
  )
  config['model'] |= tiny_networks.VIT
  loop.train(config, root / 'full')
  return root, config


def restore(workdir, config):
  """Returns the newest state of a run."""
  task = registry.make_task(config)
  source = registry.make_task(config).source('train')
  schedule = optimization.make_schedule(config, total_steps=9, warmup_steps=0)
  mesh = sharding.make_mesh(fsdp=1)
  _, shapes = steps.jit_init(
      task,
      skipping.skip_non_finite(optimization.make_optimizer(task, schedule)),
      mesh,
      inputs.example(registry.make_task(config), source),
      ema=config['optim']['ema'],
  )
  checkpoints = checkpoint.Checkpoints(workdir, score='score', best='max')
  batches = inputs.train_batches(registry.make_task(config), source)
  state = checkpoints.restore(shapes, batches)
  checkpoints.close()
  batches.close()
  return state


def test_the_weights_of_a_run_are_the_ema(run):
  root, config = run
  state = restore(root / 'full', config)
  shapes = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
      state.average,
  )
  weights, step = parameters.load(root / 'full', shapes)
  assert step == state.step
  jax.tree.map(np.testing.assert_array_equal, weights, state.average)
  kernel = state.params['heads']['au']['out']['kernel']
  assert not np.array_equal(kernel, weights['heads']['au']['out']['kernel'])
  # `evaluate` gives the score that was logged during training.
  scores = evaluation.evaluate(root / 'full', 'validation')
  line = runs.metrics(root / 'full', 'validation')[int(step)]
  np.testing.assert_allclose(scores['score'], line['score'], rtol=1e-5)


def test_a_resumed_run_equals_an_uninterrupted_run(run, tmp_path):
  root, config = run
  loop.train(config | {'epochs': config['epochs'] / 2}, tmp_path / 'parts')
  (tmp_path / 'parts' / 'DONE').unlink()
  assert restore(tmp_path / 'parts', config).step == STEPS // 2
  loop.train(config, tmp_path / 'parts')
  jax.tree.map(
      np.testing.assert_array_equal,
      restore(tmp_path / 'parts', config),
      restore(root / 'full', config),
  )


def test_init_from_starts_weights_and_ema_from_the_ema(run, tmp_path):
  root, config = run
  config = config | {
      'init_from': str(root / 'full'), 'epochs': config['epochs'] / STEPS,
  }  # fmt: skip
  config['optim'] = config['optim'] | {
      'lr': 0.0, 'end_lr': 0.0, 'ema': 0.5,
  }  # fmt: skip
  loop.train(config, tmp_path / 'next')
  first = restore(root / 'full', config)
  state = restore(tmp_path / 'next', config)
  for weights in (state.params, state.average):
    for part in ('backbone', 'heads'):
      jax.tree.map(
          np.testing.assert_array_equal, weights[part], first.average[part]
      )


def test_a_run_cannot_resume_without_its_ema(run):
  root, config = run
  (root / 'full' / 'DONE').rename(root / 'DONE')
  config = config | {'epochs': 2.0}
  config['optim'] = config['optim'] | {'ema': 0.0}
  with pytest.raises(errors.InputError, match='another optimizer: extra train'):
    loop.train(config, root / 'full')
