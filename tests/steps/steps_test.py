"""One update: a closed form, skipped if not finite, and saved safely."""

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.distributed import sharding
from abaw_jax.steps import optimizers, skipping, steps
from tests.steps import toy_task


class LineTask(toy_task.ToyTask):
  """Fits y = w x by least squares: gradients have a closed form."""

  def init(self, key, batch):
    del key, batch
    return {'w': jnp.float32(1.0)}

  def loss(self, params, batch, key):
    del key
    loss = jnp.mean((params['w'] * batch['x'] - batch['y']) ** 2)
    return loss, {'loss': loss}

  def predict(self, params, batch):
    return {'y': params['w'] * batch['x']}


BATCH = {
    'x': np.array([1.0, 2.0], np.float32),
    'y': np.array([0.0, 1.0], np.float32),
}


def make(optimizer, *, task=None, **options):
  """Returns (state, step) of a task (default: LineTask) on one device."""
  task = task or LineTask()
  mesh = sharding.make_mesh(fsdp=1)
  optimizer = skipping.skip_non_finite(optimizer)
  init, shapes = steps.jit_init(task, optimizer, mesh, BATCH)
  step = steps.jit_train_step(task, optimizer, mesh, shapes, seed=0, **options)
  return init(jax.random.key(0)), step


def test_one_update_is_gradient_descent():
  state, step = make(optax.sgd(0.1))
  state, metrics = step(state, BATCH)
  # d/dw mean((w x - y)^2) = mean(2 x (w x - y)) = (2 * 1 + 4 * 1) / 2 = 3.
  np.testing.assert_allclose(metrics['grad_norm'], 3.0, rtol=1e-6)
  np.testing.assert_allclose(metrics['loss'], 1.0, rtol=1e-6)
  np.testing.assert_allclose(state.params['w'], 1.0 - 0.1 * 3.0, rtol=1e-6)
  assert int(state.step) == 1


def test_microbatches_give_the_update_of_the_full_batch():
  batch = {
      'x': np.arange(6, dtype=np.float32),
      'y': np.array([1.0, -2.0, 0.5, 3.0, 0.0, 1.0], np.float32),
  }
  full, step = make(optax.sgd(0.1))
  full, expected = step(full, batch)
  for parts in (2, 3, 6):
    state, step = make(optax.sgd(0.1), microbatches=parts)
    state, metrics = step(state, batch)
    np.testing.assert_allclose(state.params['w'], full.params['w'], rtol=1e-6)
    np.testing.assert_allclose(metrics['loss'], expected['loss'], rtol=1e-6)
    np.testing.assert_allclose(
        metrics['grad_norm'], expected['grad_norm'], rtol=1e-6
    )


def test_each_microbatch_has_its_own_random_key():
  seen = []

  class NoisyTask(LineTask):

    def loss(self, params, batch, key):
      jax.debug.callback(seen.append, jax.random.uniform(key))
      return super().loss(params, batch, key)

  batch = {'x': np.ones(4, np.float32), 'y': np.ones(4, np.float32)}
  state, step = make(optax.sgd(0.1), task=NoisyTask(), microbatches=4)
  step(state, batch)
  jax.effects_barrier()
  assert len({float(x) for x in seen}) == 4


def test_a_frozen_part_keeps_its_values_and_has_no_moments():

  class TwoParts(LineTask):

    def init(self, key, batch):
      part = super().init(key, batch)
      return {'backbone': part, 'head': {'kernel': jnp.float32(2.0)}}

    def loss(self, params, batch, key):
      w = params['backbone']['w'] * params['head']['kernel']
      return super().loss({'w': w}, batch, key)

  optimizer = optimizers.make_optimizer(
      schedule=optax.constant_schedule(0.1),
      b1=0.9,
      b2=0.99,
      weight_decay=0.5,
      clip_norm=0.0,
      layer_decay=1.0,
      num_layers=0,
      prefix='backbone',
      freeze='backbone',
  )
  state, step = make(optimizer, task=TwoParts(), freeze='backbone')
  names = [
      sharding.path_name(path)
      for path, _ in jax.tree_util.tree_leaves_with_path(state.opt_state)
  ]
  assert any('head' in name for name in names)
  assert not any('backbone' in name for name in names)
  state, metrics = step(state, BATCH)
  assert float(state.params['backbone']['w']) == 1.0
  assert float(state.params['head']['kernel']) != 2.0
  # d/dk mean((k x - y)^2) at k = 2; the frozen part adds nothing.
  np.testing.assert_allclose(metrics['grad_norm'], 8.0, rtol=1e-6)


@pytest.mark.parametrize('poison', [np.nan, np.inf])
def test_a_poisoned_batch_changes_nothing_and_is_counted(poison):
  clean, step = make(optax.adam(0.1))
  poisoned, _ = make(optax.adam(0.1))
  bad = BATCH | {'x': np.array([1.0, poison], np.float32)}
  clean, _ = step(clean, BATCH)
  poisoned, _ = step(poisoned, BATCH)
  poisoned, metrics = step(poisoned, bad)
  poisoned, metrics = step(poisoned, bad)
  assert (int(metrics['skipped']), int(metrics['skipped_in_a_row'])) == (2, 2)
  poisoned, metrics = step(poisoned, BATCH)
  clean, _ = step(clean, BATCH)
  assert (int(metrics['skipped']), int(metrics['skipped_in_a_row'])) == (2, 0)
  assert int(poisoned.step) == 4
  np.testing.assert_array_equal(poisoned.params['w'], clean.params['w'])


def place():
  """Returns an iterator whose position can be saved."""
  return iter(grain.MapDataset.range(10).to_iter_dataset())


def test_later_updates_do_not_change_a_save(tmp_path):
  # The step donates its state, so a save must not read it later.
  key = jax.random.key(0)

  class BigTask(LineTask):

    def init(self, key, batch):
      del batch
      return {'w': jax.random.normal(key, (1000, 1000))}

    def loss(self, params, batch, key):
      del key, batch
      loss = jnp.sum(params['w'] ** 2)
      return loss, {'loss': loss}

  mesh = sharding.make_mesh(fsdp=1)
  optimizer = skipping.skip_non_finite(optax.adam(0.1))
  init, shapes = steps.jit_init(BigTask(), optimizer, mesh, BATCH)
  step = steps.jit_train_step(BigTask(), optimizer, mesh, shapes, seed=0)
  state, _ = step(init(key), BATCH)
  expected = jax.tree.map(np.array, state)
  checkpoints = checkpoint.Checkpoints(tmp_path, score='P_MTL', best='max')
  checkpoints.save(state, place(), {}, None)
  for _ in range(20):
    state, _ = step(state, BATCH)
  jax.block_until_ready(state)
  checkpoints.close()
  checkpoints = checkpoint.Checkpoints(tmp_path, score='P_MTL', best='max')
  restored = checkpoints.restore(shapes, place())
  checkpoints.close()
  jax.tree.map(np.testing.assert_array_equal, restored, expected)


def test_the_newest_two_and_the_best_checkpoint_are_kept(tmp_path):
  state, step = make(optax.sgd(0.1))
  checkpoints = checkpoint.Checkpoints(tmp_path, score='P_MTL', best='max')
  for score in (0.1, 0.9, None, np.nan, 0.2):
    state, _ = step(state, BATCH)
    scores = None if score is None else {'P_MTL': score}
    checkpoints.save(state, place(), {}, scores)
  checkpoints.close()
  kept = sorted(int(p.name) for p in (tmp_path / 'checkpoints').iterdir())
  assert kept == [2, 4, 5]
