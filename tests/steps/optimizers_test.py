"""The optimiser against AdamW in NumPy and against closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from abaw_jax.core import errors
from abaw_jax.steps import optimizers
from abaw_jax.tasks import task


def _params():
  """Returns tiny arrays with the parameter names of a two-block ViT."""
  shapes = {
      'backbone': {
          'cls_token': (1, 1, 4),
          'pos_embed': (1, 3, 4),
          'patch_embed': {'kernel': (5, 4), 'bias': (4,)},
          'blocks_0': {'mlp': {'kernel': (4, 4), 'bias': (4,)}},
          'blocks_1': {'norm': {'scale': (4,), 'bias': (4,)}},
          'norm': {'scale': (4,), 'bias': (4,)},
      },
      'heads': {'au': {'kernel': (4, 12), 'bias': (12,)}},
  }
  rng = np.random.default_rng(0)
  return jax.tree.map(
      lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32),
      shapes,
      is_leaf=lambda x: isinstance(x, tuple),
  )


def test_schedule_equals_its_closed_form():
  schedule = optimizers.make_schedule(
      lr=2e-3, warmup_steps=10, total_steps=110, end_lr=1e-5
  )
  want = {
      0: 2e-4,
      4: 1e-3,
      9: 2e-3,
      10: 2e-3,
      60: 1e-5 + (2e-3 - 1e-5) / 2,
      109: 1e-5 + (2e-3 - 1e-5) * (1 + math.cos(math.pi * 0.99)) / 2,
      110: 1e-5,
      500: 1e-5,
  }
  for step, lr in want.items():
    np.testing.assert_allclose(schedule(step), lr, rtol=1e-4)
    np.testing.assert_allclose(
        jax.jit(schedule)(jnp.int32(step)), lr, rtol=1e-4
    )


def test_schedule_without_warmup_starts_at_the_full_rate():
  schedule = optimizers.make_schedule(
      lr=1.0, warmup_steps=0, total_steps=2, end_lr=0.0
  )
  np.testing.assert_allclose([schedule(s) for s in range(3)], [1.0, 0.5, 0.0])


def test_schedule_with_only_warmup_is_a_linear_ramp():
  schedule = optimizers.make_schedule(
      lr=1.0, warmup_steps=4, total_steps=4, end_lr=0.0
  )
  np.testing.assert_allclose(
      [schedule(s) for s in range(4)], [0.25, 0.5, 0.75, 1.0]
  )


def test_warmup_longer_than_training_is_an_input_error():
  with pytest.raises(errors.InputError, match='warmup_epochs: its 11 updates'):
    optimizers.make_schedule(
        lr=1.0, warmup_steps=11, total_steps=10, end_lr=0.0
    )


def test_scaled_lr_follows_the_rule_of_mae():
  # Pretraining in the MAE paper: base 1.5e-4, batch 4096.
  np.testing.assert_allclose(optimizers.scaled_lr(1.5e-4, 4096), 2.4e-3)


def test_only_kernels_have_weight_decay():
  mask = optimizers.decay_mask(_params())
  decayed = [
      jax.tree_util.keystr(path, simple=True, separator='/')
      for path, decays in jax.tree_util.tree_leaves_with_path(mask)
      if decays
  ]
  assert decayed == [
      'backbone/blocks_0/mlp/kernel',
      'backbone/patch_embed/kernel',
      'heads/au/kernel',
  ]


def test_a_bias_stacked_by_a_scan_over_layers_has_no_weight_decay():
  stacked = {
      'blocks': {'kernel': jnp.ones((2, 4, 4)), 'bias': jnp.ones((2, 4))}
  }
  assert optimizers.decay_mask(stacked) == {
      'blocks': {'kernel': True, 'bias': False}
  }


def test_layer_scales_depend_on_the_block():
  scales = optimizers.layer_scales(
      _params(), decay=0.5, num_layers=2, prefix='backbone'
  )
  backbone = scales['backbone']
  for name in ('cls_token', 'pos_embed', 'patch_embed'):
    assert set(jax.tree.leaves(backbone[name])) == {0.125}
  assert set(jax.tree.leaves(backbone['blocks_0'])) == {0.25}
  assert set(jax.tree.leaves(backbone['blocks_1'])) == {0.5}
  assert set(jax.tree.leaves(backbone['norm'])) == {1.0}
  assert set(jax.tree.leaves(scales['heads'])) == {1.0}


def test_names_outside_the_prefix_keep_their_rate():
  params = {'encoder': {'blocks_0': {'kernel': 0}}, 'backbone': {'norm': 0}}
  scales = optimizers.layer_scales(
      params, decay=0.5, num_layers=1, prefix='backbone'
  )
  assert scales['encoder']['blocks_0']['kernel'] == 1.0


def test_inconsistent_layer_scales_are_input_errors():
  with pytest.raises(errors.InputError, match='backbone/blocks_1/norm'):
    optimizers.layer_scales(
        _params(), decay=0.5, num_layers=1, prefix='backbone'
    )
  with pytest.raises(errors.InputError, match=r"'vit'.*'backbone', 'heads'"):
    optimizers.layer_scales(_params(), decay=0.5, num_layers=2, prefix='vit')


def _numpy_adamw(params, grads, rates, *, b1, b2, decay, clip, scales, mask):
  """Returns the leaves after one update per element of `grads`."""
  params = [np.float64(p) for p in params]
  first = [np.zeros_like(p) for p in params]
  second = [np.zeros_like(p) for p in params]
  for t, (leaves, lr) in enumerate(zip(grads, rates, strict=True), start=1):
    norm = math.sqrt(sum(np.sum(np.float64(g) ** 2) for g in leaves))
    shrink = min(1.0, clip / norm) if clip else 1.0
    for i, g in enumerate(leaves):
      g = np.float64(g) * shrink
      first[i] = b1 * first[i] + (1 - b1) * g
      second[i] = b2 * second[i] + (1 - b2) * g**2
      adam = (first[i] / (1 - b1**t)) / (
          np.sqrt(second[i] / (1 - b2**t)) + 1e-8
      )
      step = adam + decay * mask[i] * params[i]
      params[i] = params[i] - lr * scales[i] * step
  return params


@pytest.mark.parametrize('clip_norm', [0.0, 1.0])
@pytest.mark.parametrize('layer_decay', [1.0, 0.65])
def test_three_updates_equal_adamw_in_numpy(clip_norm, layer_decay):
  params = _params()
  schedule = optimizers.make_schedule(
      lr=1e-2, warmup_steps=2, total_steps=5, end_lr=0.0
  )
  optimizer = optimizers.make_optimizer(
      schedule=schedule,
      b1=0.9,
      b2=0.95,
      weight_decay=0.3,
      clip_norm=clip_norm,
      layer_decay=layer_decay,
      num_layers=2,
      prefix='backbone',
  )
  rng = np.random.default_rng(1)
  grads = [
      jax.tree.map(
          lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params
      )
      for _ in range(3)
  ]
  layers = optimizers.layer_scales(
      params, decay=layer_decay, num_layers=2, prefix='backbone'
  )
  want = _numpy_adamw(
      jax.tree.leaves(params),
      [jax.tree.leaves(g) for g in grads],
      [float(schedule(step)) for step in range(3)],
      b1=0.9,
      b2=0.95,
      decay=0.3,
      clip=clip_norm,
      scales=jax.tree.leaves(layers),
      mask=jax.tree.leaves(optimizers.decay_mask(params)),
  )

  @jax.jit
  def update(params, state, grads):
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state

  state = optimizer.init(params)
  for g in grads:
    params, state = update(params, state, g)
  for got, expected in zip(jax.tree.leaves(params), want, strict=True):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_each_part_is_clipped_separately():
  grads = {
      'encoder': {'w': jnp.array([3.0, 4.0]), 'b': jnp.array(12.0)},
      'au': {'w': jnp.array([0.3, 0.4])},
      task.LOSS_WEIGHTS: {'au': jnp.array(7.0)},
  }
  clip = optimizers.clip_by_part(1.0)
  clipped, _ = clip.update(grads, clip.init(grads))
  np.testing.assert_allclose(
      optax.tree.norm(clipped['encoder']), 1.0, rtol=1e-5
  )
  np.testing.assert_allclose(
      clipped['encoder']['w'], [3 / 13, 4 / 13], rtol=1e-5
  )
  np.testing.assert_array_equal(clipped['au']['w'], grads['au']['w'])
  assert clipped[task.LOSS_WEIGHTS]['au'] == 7.0


def test_an_unknown_clip_by_is_an_input_error():
  with pytest.raises(errors.InputError, match='clip_by=network'):
    optimizers.make_optimizer(
        schedule=optax.constant_schedule(1.0),
        b1=0.5,
        b2=0.999,
        weight_decay=0.0,
        clip_norm=5.0,
        clip_by='network',
        layer_decay=1.0,
        num_layers=0,
        prefix='encoder',
    )
