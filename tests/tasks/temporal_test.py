"""The temporal task: masks, label feedback and learned loss weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.configs import mtl
from abaw_jax.core import errors
from abaw_jax.tasks import registry

ROWS, LENGTH, DIM = 2, 5, 3


def make_config(**sections) -> dict:
  """Returns a tiny smoke config; `sections` change keys."""
  config = mtl.get_config('smoke').to_dict()
  config['model'] |= {
      'encoder': 'none', 'hidden_dims': (4,), 'dropout': 0.0,
  }  # fmt: skip
  for section, keys in sections.items():
    assert set(keys) <= set(config[section])
    config[section] |= keys
  return config


def make_batch(**fields) -> dict[str, jax.Array]:
  """Returns windows without labels; `fields` replace some of them."""
  shape = (ROWS, LENGTH)
  features = np.random.default_rng(0).standard_normal((*shape, DIM), np.float32)
  batch = {
      'features': features,
      'valence': np.zeros(shape, np.float32),
      'arousal': np.zeros(shape, np.float32),
      'expression': np.zeros(shape, np.int32),
      'au': np.zeros((*shape, 12), np.int8),
      'va': np.zeros(shape, bool),
      'expr': np.zeros(shape, bool),
      'au_mask': np.zeros((*shape, 12), bool),
      'frame_mask': np.ones(shape, bool),
      'frame_id': np.zeros(shape, np.int32),
      'real': np.ones(ROWS, bool),
      'start': np.ones(ROWS, bool),
      'window_length': np.full(ROWS, LENGTH, np.int32),
      'epoch': np.zeros(ROWS, np.int32),
  }
  return jax.tree.map(jnp.asarray, batch | fields)


def some(*places) -> np.ndarray:
  """Returns a mask that is True at these (row, frame) places."""
  mask = np.zeros((ROWS, LENGTH), bool)
  mask[tuple(np.transpose(places))] = True
  return mask


def grads_of(config, batch):
  """Returns (loss, scalars, gradients) at the initial parameters."""
  task = registry.make_task(config)
  params = task.init(jax.random.key(0), batch)
  statistics = {'batch_stats': params.pop('batch_stats')}

  def loss(params):
    return task.loss(params | statistics, batch, jax.random.key(1))

  grad = jax.jit(jax.value_and_grad(loss, has_aux=True))
  (total, scalars), grads = grad(params)
  return total, scalars, grads


FAITHFUL = {'va_mean': 'all'}


@pytest.mark.parametrize(
    ('options', 'real', 'length', 'expected'),
    [
        (FAITHFUL, (True, True), 5, 2 / 10),
        (FAITHFUL, (True, True), 4, 2 / 8),
        (FAITHFUL, (True, False), 5, 2 / 5),
        ({}, (True, True), 5, 2 / 2),
    ],
)
def test_the_mean_is_over_all_frames_or_over_labelled_frames(
    options, real, length, expected
):
  config = make_config(loss=options)
  batch = make_batch(
      va=some((0, 1), (0, 3)),
      real=np.array(real),
      window_length=np.full(ROWS, length, np.int32),
  )
  task = registry.make_task(config)
  params = task.init(jax.random.key(0), batch)
  # The targets differ from the predictions by one.
  batch['valence'] = task.predict(params, batch)['valence'] - 1.0
  _, scalars = jax.jit(task.loss)(params, batch, jax.random.key(0))
  np.testing.assert_allclose(scalars['valence'], expected, rtol=1e-5)


@pytest.mark.parametrize(
    'weighting', ['fixed', 'normalized', 'uncertainty', 'dwa']
)
def test_without_labels_all_gradients_are_zero(weighting):
  config = make_config(loss={'weighting': weighting})
  total, scalars, grads = grads_of(config, make_batch())
  assert total == 0.0
  assert all(scalars[task] == 0.0 for task in ('valence', 'expression', 'au'))
  assert all((leaf == 0.0).all() for leaf in jax.tree.leaves(grads))


def test_learned_loss_weights_are_parameters():
  config = make_config(loss={'weighting': 'uncertainty'})
  batch = make_batch(
      va=some((0, 0), (1, 2)), valence=np.ones((ROWS, LENGTH), np.float32)
  )
  _, scalars, grads = grads_of(config, batch)
  slopes = grads['loss_weights']
  # v / 2 + 12 loss / exp(v) at v = 0.
  np.testing.assert_allclose(
      slopes['valence'], 0.5 - 12 * scalars['valence'], rtol=1e-5
  )
  assert slopes['expression'] == 0.0


def test_loss_statistics_are_batch_stats_like_feature_statistics():
  config = make_config(loss={'weighting': 'dwa'})
  batch = make_batch(
      va=some((0, 0)), valence=np.ones((ROWS, LENGTH), np.float32)
  )
  _, scalars, _ = grads_of(config, batch)
  moved = scalars['batch_stats']
  assert set(moved) == {'feature_norm', 'loss_weighting'}
  tasks_moved = moved['loss_weighting']['tasks']
  np.testing.assert_allclose(
      tasks_moved['valence']['total'], scalars['valence'], rtol=1e-6
  )
  assert tasks_moved['valence']['count'] == 1
  assert tasks_moved['au']['count'] == 0


def test_only_kernels_of_linear_heads_have_the_l2_penalty():
  head = {
      'linear_heads': 'valence,expression', 'tasks': 'valence,au',
      'framework': 'share_encoder', 'private_layers': 0, 'feedback': 'none',
  }  # fmt: skip
  config = make_config(model=head, loss={'l2': 0.25})
  batch = make_batch()
  params = registry.make_task(config).init(jax.random.key(0), batch)
  total, _, grads = grads_of(config, batch)
  kernel = params['valence']['head']['out']['kernel']
  # There are no labels, so the loss is the penalty.
  np.testing.assert_allclose(total, 0.25 * np.sum(kernel**2), rtol=1e-6)
  moved = grads['valence']['head']['out'].pop('kernel')
  np.testing.assert_allclose(moved, 0.5 * kernel, rtol=1e-6)
  assert all(not leaf.any() for leaf in jax.tree.leaves(grads))
  with pytest.raises(errors.InputError, match='l2=-1: give a number in'):
    registry.make_task(make_config(model=head, loss={'l2': -1}))


def test_an_untrained_task_has_no_loss():
  config = make_config(model={'tasks': 'valence,au'})
  _, scalars, grads = grads_of(config, make_batch(expr=some((0, 0))))
  assert 'expression' not in scalars
  assert 'arousal' not in scalars
  assert all((x == 0).all() for x in jax.tree.leaves(grads['expression']))


@pytest.mark.parametrize(
    ('decay', 'epoch', 'is_fed'),
    [(False, 3, True), (True, 0, True), (True, 2, True), (True, 3, False)],
)
def test_true_labels_are_fed_at_a_falling_rate(decay, epoch, is_fed):
  config = make_config(
      model={
          'feedback': 'label',
          'feed_source': 'expression',
          'feed_target': 'arousal',
          'feed_truth_rate': 1.0,
          'feed_truth_decay': decay,
      }
  )
  config['epochs'] = 4.0
  task = registry.make_task(config)
  batch = make_batch(
      va=np.ones((ROWS, LENGTH), bool),
      expr=np.ones((ROWS, LENGTH), bool),
      epoch=np.full(ROWS, epoch, np.int32),
  )
  params = task.init(jax.random.key(0), batch)
  other = batch | {'expression': batch['expression'] + 5}
  loss = jax.jit(task.loss)
  losses = [
      loss(params, x, jax.random.key(0))[1]['arousal'] for x in (batch, other)
  ]
  assert (losses[0] != losses[1]) == is_fed
