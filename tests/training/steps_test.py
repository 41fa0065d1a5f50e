"""One update: golden, skipped when not finite, and safe to save."""

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from abaw_jax.training import checkpoint, sharding, steps


class LineTask:
  """Fits y = w x by least squares: gradients have a closed form."""

  score, best, unit = 'loss', 'min', 'points'

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


def make(optimizer):
  """Returns (state, step) of the line task on one device."""
  mesh = sharding.make_mesh(fsdp=1)
  optimizer = steps.skip_non_finite(optimizer)
  init, shapes = steps.jit_init(LineTask(), optimizer, mesh, BATCH)
  step = steps.jit_train_step(LineTask(), optimizer, mesh, shapes, seed=0)
  return init(jax.random.key(0)), step


def test_one_update_is_gradient_descent():
  state, step = make(optax.sgd(0.1))
  state, metrics = step(state, BATCH)
  # d/dw mean((w x - y)^2) = mean(2 x (w x - y)) = (2 * 1 + 4 * 1) / 2 = 3.
  np.testing.assert_allclose(metrics['grad_norm'], 3.0, rtol=1e-6)
  np.testing.assert_allclose(metrics['loss'], 1.0, rtol=1e-6)
  np.testing.assert_allclose(state.params['w'], 1.0 - 0.1 * 3.0, rtol=1e-6)
  assert int(state.step) == 1


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
  """Returns an iterator whose position a checkpoint can hold."""
  return iter(grain.MapDataset.range(10).to_iter_dataset())


def test_a_save_is_not_touched_by_the_updates_that_follow(tmp_path):
  # The step donates its state: a save that still read it would be torn.
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
  optimizer = steps.skip_non_finite(optax.adam(0.1))
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


def test_the_newest_two_and_the_best_checkpoint_stay(tmp_path):
  state, step = make(optax.sgd(0.1))
  checkpoints = checkpoint.Checkpoints(tmp_path, score='P_MTL', best='max')
  for score in (0.1, 0.9, None, np.nan, 0.2):
    state, _ = step(state, BATCH)
    scores = None if score is None else {'P_MTL': score}
    checkpoints.save(state, place(), {}, scores)
  checkpoints.close()
  kept = sorted(int(p.name) for p in (tmp_path / 'checkpoints').iterdir())
  assert kept == [2, 4, 5]
