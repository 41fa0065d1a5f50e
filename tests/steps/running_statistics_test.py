"""Running statistics: updated by training, not by the optimiser."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from abaw_jax.distributed import sharding
from abaw_jax.models.layers import batch_norm, variables
from abaw_jax.steps import skipping, steps
from abaw_jax.tasks import registry
from tests.models import tiny_networks
from tests.steps import toy_task
from tests.training import runs

tiny_iresnet = tiny_networks._tiny_iresnet


class Line(nn.Module):
  """Batch normalisation and one dense layer."""

  @nn.compact
  def __call__(self, x, *, train):
    x = batch_norm.BatchNorm(momentum=0.5, name='norm')(x, train=train)
    return nn.Dense(1, name='out')(x)


class LineTask(toy_task.ToyTask):
  """Least squares after batch normalisation."""

  def init(self, key, batch):
    return variables.init(Line(), key, jnp.asarray(batch['x']))

  def loss(self, params, batch, key):
    del key
    out, moved = variables.apply(Line(), params, batch['x'], train=True)
    loss = jnp.mean((out - batch['y']) ** 2)
    return loss, {'loss': loss} | moved

  def predict(self, params, batch):
    return {'y': variables.apply(Line(), params, batch['x'], train=False)[0]}


def make(batch, **options):
  """Returns (state, step) of LineTask on one device."""
  task, mesh = LineTask(), sharding.make_mesh(fsdp=1)
  optimizer = skipping.skip_non_finite(optax.adam(0.1))
  init, shapes = steps.jit_init(task, optimizer, mesh, batch)
  step = steps.jit_train_step(task, optimizer, mesh, shapes, seed=0, **options)
  return init(jax.random.key(0)), step


def points(rows=8):
  rng = np.random.default_rng(0)
  x = rng.normal(3.0, 2.0, (rows, 2)).astype(np.float32)
  return {'x': x, 'y': x.sum(axis=1, keepdims=True)}


def norm(state):
  return jax.tree.map(np.array, state.params['batch_stats']['norm'])


def test_an_update_changes_the_statistics_without_the_optimiser():
  batch = points()
  state, step = make(batch)
  paths = [
      sharding.path_name(path)
      for path, _ in jax.tree_util.tree_leaves_with_path(state.opt_state)
  ]
  assert any('norm/bias' in path for path in paths)
  assert not any('batch_stats' in path for path in paths)
  state, metrics = step(state, batch)
  assert 'batch_stats' not in metrics
  # Momentum 0.5, from mean 0 and variance 1.
  np.testing.assert_allclose(
      norm(state)['mean'], 0.5 * batch['x'].mean(0), rtol=1e-5
  )
  np.testing.assert_allclose(
      norm(state)['var'], 0.5 + 0.5 * batch['x'].var(0, ddof=1), rtol=1e-5
  )


def test_microbatches_update_them_one_after_the_other():
  batch = points()
  state, step = make(batch, microbatches=2)
  state, metrics = step(state, batch)
  assert 'batch_stats' not in metrics
  parts = batch['x'][0::2], batch['x'][1::2]
  mean = 0.5 * (0.5 * parts[0].mean(0)) + 0.5 * parts[1].mean(0)
  np.testing.assert_allclose(norm(state)['mean'], mean, rtol=1e-5)


@pytest.mark.parametrize('microbatches', [1, 2])
def test_a_poisoned_batch_does_not_change_them(microbatches):
  batch = points()
  state, step = make(batch, microbatches=microbatches)
  state, _ = step(state, batch)
  before = norm(state)
  state, metrics = step(state, batch | {'x': batch['x'] * np.nan})
  assert int(metrics['skipped']) == 1
  jax.tree.map(np.testing.assert_array_equal, norm(state), before)


@pytest.mark.parametrize(
    ('freeze', 'move', 'moves'),
    [('', False, True), ('backbone', False, False), ('backbone', True, True)],
)
@pytest.mark.usefixtures('tiny_iresnet')
def test_a_frozen_backbone_keeps_them_by_default(tmp_path, freeze, move, moves):
  config = runs.smoke(
      'convnet',
      tmp_path,
      optim__freeze=freeze,
      optim__move_frozen_statistics=move,
  )
  task = registry.make_task(config)
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
  batch = {
      'image': jnp.asarray(image),
      'valence': jnp.zeros(4),
      'arousal': jnp.zeros(4),
      'expression': jnp.zeros(4, jnp.int32),
      'au': jnp.zeros((4, 12), jnp.int8),
      'va': jnp.ones(4, bool),
      'expr': jnp.ones(4, bool),
      'au_mask': jnp.ones((4, 12), bool),
  }
  key = jax.random.key(0)
  params = jax.jit(task.init)(key, batch)
  _, scalars = jax.jit(task.loss)(params, batch, key)
  equal = jax.tree.map(
      lambda old, new: bool(jnp.array_equal(old, new)),
      params['batch_stats'],
      scalars['batch_stats'],
  )
  assert any(jax.tree.leaves(equal)) != moves
