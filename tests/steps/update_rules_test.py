"""Updates of the optimizers equal their closed forms."""

import contextlib

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.core import errors
from abaw_jax.steps import optimizers, steps, update_rules

DECAY, RATES = 0.3, (0.1, 0.05)
SHAPES = {
    'backbone': {
        'patch_embed': {'kernel': (12, 128)},
        'blocks_0': {'fc1': {'kernel': (128, 256), 'bias': (256,)}},
    },
    'heads': {'kernel': (128, 3)},
}


def _draw(seed):
  rng = np.random.default_rng(seed)
  return jax.tree.map(
      lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32),
      SHAPES,
      is_leaf=lambda x: isinstance(x, tuple),
  )


def _train(name, **options):
  """Returns (parameters before, gradients, parameters after) of two updates."""
  optimizer = optimizers.make_optimizer(
      name=name,
      schedule=lambda step: jnp.asarray(RATES)[step],
      b1=0.9,
      b2=0.99,
      weight_decay=DECAY,
      clip_norm=0.0,
      num_layers=1,
      prefix='backbone',
      **{'layer_decay': 1.0} | options,
  )
  params, grads = _draw(0), [_draw(1), _draw(2)]
  state, after = optimizer.init(params), params
  update = jax.jit(optimizer.update)
  for g in grads:
    updates, state = update(g, state, after)
    after = optax.apply_updates(after, updates)
  return params, grads, after, state


def _check(name, rule, path, **options):
  """Compares a parameter after two updates with those of a rule."""
  params, grads, after, _ = _train(name, **options)

  def leaf(tree):
    for key in path:
      tree = tree[key]
    return np.asarray(tree, np.float64)

  x, decay = leaf(params), DECAY * (path[-1] == 'kernel')
  for lr, step in zip(RATES, rule(*map(leaf, grads)), strict=True):
    x = x - lr * (step + decay * x)
  np.testing.assert_allclose(leaf(after), x, rtol=2e-4, atol=2e-4)


def _lion(g1, g2):
  return np.sign(0.1 * g1), np.sign(0.9 * 0.01 * g1 + 0.1 * g2)


def _adafactor(*grads):
  """Shazeer and Stern, algorithm 4; decay of update t is 1 - t^-0.8."""
  rows = columns = full = 0.0
  for t, g in enumerate(grads, start=1):
    beta, square = 1.0 - t**-0.8, g * g + 1e-30
    if min(g.shape + (0,) * (2 - g.ndim)) < 128:
      full = beta * full + (1 - beta) * square
      second = full
    else:
      rows = beta * rows + (1 - beta) * square.mean(1)
      columns = beta * columns + (1 - beta) * square.mean(0)
      second = np.outer(rows, columns) / rows.mean()
    u = g / np.sqrt(second)
    yield u / max(1.0, np.sqrt(np.mean(u * u)))


def _muon(*grads):
  """Jordan et al.: Nesterov momentum, then five steps of Newton and Schulz."""
  momentum = 0.0
  for t, g in enumerate(grads, start=1):
    momentum = 0.95 * momentum + 0.05 * g
    x = 0.95 * momentum / (1 - 0.95 ** (t + 1)) + 0.05 * g / (1 - 0.95**t)
    x = x / np.linalg.norm(x)
    for _ in range(5):
      product = x @ x.T
      x = 3.4445 * x + (-4.7750 * product + 2.0315 * product @ product) @ x
    yield 0.2 * np.sqrt(max(g.shape)) * x


@pytest.mark.parametrize(
    ('name', 'rule', 'path'),
    [
        ('lion', _lion, ('backbone', 'blocks_0', 'fc1', 'kernel')),
        ('lion', _lion, ('backbone', 'blocks_0', 'fc1', 'bias')),
        ('adafactor', _adafactor, ('backbone', 'blocks_0', 'fc1', 'kernel')),
        ('adafactor', _adafactor, ('heads', 'kernel')),
        ('adafactor', _adafactor, ('backbone', 'blocks_0', 'fc1', 'bias')),
        ('muon', _muon, ('backbone', 'blocks_0', 'fc1', 'kernel')),
    ],
)
def test_two_updates_equal_a_closed_form(name, rule, path):
  _check(name, rule, path)


def test_muon_leaves_all_but_hidden_kernels_to_adamw():
  _, _, found, _ = _train('muon')
  _, _, expected, _ = _train('adamw')
  found['backbone']['blocks_0']['fc1'].pop('kernel')
  expected['backbone']['blocks_0']['fc1'].pop('kernel')
  jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), found, expected
  )


@pytest.mark.parametrize('name', list(update_rules.RULES))
def test_layer_decay_and_freezing_work_with_all(name):
  params, _, after, state = _train(name, layer_decay=0.5, freeze='heads')
  np.testing.assert_array_equal(
      after['heads']['kernel'], params['heads']['kernel']
  )
  assert 'heads' not in str(jax.tree_util.tree_leaves_with_path(state))
  _, _, even, _ = _train(name, freeze='heads')
  # decay^(layers + 1 - layer): 0.5 for the block, 0.25 for the embedding.
  for part, key, scale in (('blocks_0', 'fc1', 0.5), ('patch_embed', '', 0.25)):
    x, y, start = (
        tree['backbone'][part][key]['kernel']
        if key
        else tree['backbone'][part]['kernel']
        for tree in (after, even, params)
    )
    # Weight decay sees other weights in the second update.
    ratio = jnp.linalg.norm(x - start) / jnp.linalg.norm(y - start)
    assert float(ratio) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize('name', list(update_rules.RULES))
def test_a_checkpoint_restores_the_moments_of_all(name, tmp_path):
  *_, params, moments = _train(name, freeze='heads')
  state = steps.TrainState(jnp.int32(2), params, moments)
  shapes = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
      state,
  )
  position = iter(grain.MapDataset.range(10).to_iter_dataset())
  checkpoints = checkpoint.Checkpoints(tmp_path, score='loss', best='min')
  with contextlib.closing(checkpoints):
    checkpoints.save(state, position, {}, None)
    checkpoints.wait()
    found = checkpoints.restore(shapes, position)
  assert jax.tree.structure(found) == jax.tree.structure(state)
  jax.tree.map(np.testing.assert_array_equal, found, state)


def test_adafactor_keeps_rows_and_columns_only():
  *_, state = _train('adafactor')
  sizes = [x.size for x in jax.tree.leaves(state)]
  parameters = sum(x.size for x in jax.tree.leaves(_draw(0)))
  assert sum(sizes) < parameters / 10


def test_wrong_optimizers_are_input_errors():
  with pytest.raises(
      errors.InputError, match=r"optim\.name: unknown value 'sgd'"
  ):
    _train('sgd')
  with pytest.raises(errors.InputError, match='muon: no trained part'):
    _train('muon', freeze='backbone')
