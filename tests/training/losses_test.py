"""Losses against NumPy, scikit-learn and PyTorch; masks reach nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk_metrics
import torch

from abaw_jax import errors, labels
from abaw_jax.training import losses

_SHAPE = (3, 5)
_LOSSES = {
    'mse': losses.mse_loss,
    'ccc': losses.ccc_loss,
    'bce': losses.bce_loss,
    'ce': losses.cross_entropy,
}


def _case(name, dtype=jnp.float32):
  """Returns a jitted loss with predictions, targets and a mask that fit it."""
  rng = np.random.default_rng(1)
  mask = jnp.asarray(rng.random(_SHAPE) < 0.6)
  if name == 'ce':
    pred = jnp.asarray(rng.normal(size=(*_SHAPE, 8)), dtype)
    target = jnp.asarray(rng.integers(0, 8, _SHAPE), jnp.int32)
    return jax.jit(_LOSSES[name]), pred, target, mask
  pred = jnp.asarray(rng.normal(size=_SHAPE), dtype)
  if name == 'bce':
    target = jnp.asarray(rng.integers(0, 2, _SHAPE), jnp.int8)
  else:
    target = jnp.asarray(rng.uniform(-1, 1, _SHAPE), jnp.float32)
  return jax.jit(_LOSSES[name]), pred, target, mask


def test_mse_divides_by_the_number_of_valid_elements():
  loss, pred, target, mask = _case('mse')
  want = sk_metrics.mean_squared_error(target[mask], pred[mask])
  np.testing.assert_allclose(loss(pred, target, mask), want, rtol=1e-6)


def test_ccc_uses_population_moments():
  loss, pred, target, mask = _case('ccc')
  x, y = np.float64(pred[mask]), np.float64(target[mask])
  cov = np.cov(x, y, ddof=0)
  ccc = 2 * cov[0, 1] / (cov.trace() + (x.mean() - y.mean()) ** 2)
  np.testing.assert_allclose(loss(pred, target, mask), 1 - ccc, rtol=1e-6)


def test_ccc_of_perfect_and_of_constant_predictions():
  loss, _, target, mask = _case('ccc')
  constant = jnp.full_like(target, 0.1)
  np.testing.assert_allclose(loss(target, target, mask), 0.0, atol=1e-6)
  for pred, truth in ((constant, target), (constant, constant)):
    value, grad = jax.value_and_grad(loss)(pred, truth, mask)
    np.testing.assert_allclose(value, 1.0, atol=1e-6)
    assert np.isfinite(grad).all()


def test_cross_entropy_equals_sklearn_log_loss():
  loss, logits, target, mask = _case('ce')
  want = sk_metrics.log_loss(
      target[mask], jax.nn.softmax(logits[mask]), labels=range(8)
  )
  np.testing.assert_allclose(loss(logits, target, mask), want, rtol=1e-6)


def test_bce_equals_torch_and_does_not_saturate():
  loss, logits, target, mask = _case('bce')
  logits = logits.at[0, :].mul(1000.0)
  want = torch.nn.functional.binary_cross_entropy_with_logits(
      torch.tensor(np.asarray(logits[mask])),
      torch.tensor(np.float32(target[mask])),
  )
  np.testing.assert_allclose(loss(logits, target, mask), want, rtol=1e-6)


@pytest.mark.parametrize('name', list(_LOSSES))
def test_gradients_equal_finite_differences(name):
  loss, pred, target, mask = _case(name)
  grad = jax.grad(loss)(pred, target, mask)
  direction = jax.random.normal(jax.random.key(0), pred.shape)
  # Central difference in float32: step 1e-2 leaves about 1e-4 of both errors.
  ahead = loss(pred + 1e-2 * direction, target, mask)
  behind = loss(pred - 1e-2 * direction, target, mask)
  slope = (ahead - behind) / 2e-2
  np.testing.assert_allclose(jnp.vdot(grad, direction), slope, atol=1e-3)


@pytest.mark.parametrize('name', list(_LOSSES))
def test_what_lies_under_a_false_mask_reaches_nothing(name):
  loss, pred, target, mask = _case(name)
  grad_fn = jax.jit(jax.value_and_grad(loss))
  value, grad = grad_fn(pred, target, mask)
  wide = mask if pred.ndim == mask.ndim else mask[..., None]
  sentinel = jnp.nan if jnp.issubdtype(target.dtype, jnp.floating) else -1
  for poison in (jnp.nan, jnp.inf, 1e30):
    dirty = jnp.where(wide, pred, poison)
    dirty_target = jnp.where(mask, target, sentinel).astype(target.dtype)
    dirty_value, dirty_grad = grad_fn(dirty, dirty_target, mask)
    assert dirty_value == value
    np.testing.assert_array_equal(dirty_grad, grad)
  outside = jnp.broadcast_to(~wide, grad.shape)
  assert not np.any(grad[outside])


@pytest.mark.parametrize('name', list(_LOSSES))
def test_no_valid_element_gives_zero_and_zero_gradient(name):
  loss, pred, target, mask = _case(name)
  value, grad = jax.value_and_grad(loss)(
      jnp.full_like(pred, jnp.nan), target, jnp.zeros_like(mask)
  )
  assert value == 0
  np.testing.assert_array_equal(grad, jnp.zeros_like(grad))


@pytest.mark.parametrize('name', list(_LOSSES))
def test_one_valid_element_has_a_finite_gradient(name):
  loss, pred, target, mask = _case(name)
  one = jnp.zeros_like(mask).at[1, 2].set(True)
  value, grad = jax.value_and_grad(loss)(pred, target, one)
  assert np.isfinite(value)
  assert np.isfinite(grad).all()


@pytest.mark.parametrize('name', list(_LOSSES))
def test_losses_are_float32_whatever_the_predictions(name):
  loss, pred, target, mask = _case(name, jnp.bfloat16)
  value = loss(pred, target, mask)
  assert value.dtype == jnp.float32
  np.testing.assert_array_equal(
      value, loss(pred.astype(jnp.float32), target, mask)
  )


def _multi_task_loss(output, batch, weights, va_loss):
  loss = functools.partial(
      losses.multi_task_loss, weights=weights, va_loss=va_loss
  )
  return jax.jit(loss)(output, batch)


def _batch(shape):
  rng = np.random.default_rng(2)
  output = {
      'valence': jnp.asarray(rng.normal(size=shape), jnp.float32),
      'arousal': jnp.asarray(rng.normal(size=shape), jnp.float32),
      'expression': jnp.asarray(rng.normal(size=(*shape, 8)), jnp.float32),
      'au': jnp.asarray(rng.normal(size=(*shape, 12)), jnp.float32),
  }
  batch = {
      'valence': jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32),
      'arousal': jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32),
      'expression': jnp.asarray(rng.integers(0, 8, shape), jnp.int32),
      'au': jnp.asarray(rng.integers(0, 2, (*shape, 12)), jnp.int8),
      'va': jnp.asarray(rng.random(shape) < 0.5),
      'expr': jnp.asarray(rng.random(shape) < 0.5),
      'au_mask': jnp.asarray(rng.random((*shape, 12)) < 0.5),
  }
  return output, batch


@pytest.mark.parametrize('shape', [(6,), (2, 4)])
@pytest.mark.parametrize('va_loss', list(losses.VA_LOSSES))
def test_multi_task_loss_is_the_weighted_sum(shape, va_loss):
  output, batch = _batch(shape)
  weights = {'valence': 12.0, 'arousal': 6.0, 'expression': 0.35, 'au': 1.0}
  total, parts = _multi_task_loss(output, batch, weights, va_loss)
  va_fn = losses.VA_LOSSES[va_loss]
  want = {
      'valence': va_fn(output['valence'], batch['valence'], batch['va']),
      'arousal': va_fn(output['arousal'], batch['arousal'], batch['va']),
      'expression': losses.cross_entropy(
          output['expression'], batch['expression'], batch['expr']
      ),
      'au': losses.bce_loss(output['au'], batch['au'], batch['au_mask']),
  }
  assert parts.keys() == want.keys()
  for task, value in want.items():
    np.testing.assert_allclose(parts[task], value, rtol=1e-6)
  np.testing.assert_allclose(
      total, sum(weights[task] * want[task] for task in want), rtol=1e-6
  )


def test_a_task_without_a_weight_needs_no_output_and_no_label():
  output, batch = _batch((6,))
  total, parts = _multi_task_loss(
      {'au': output['au']},
      {'au': batch['au'], 'au_mask': batch['au_mask']},
      {'au': 1.0},
      'mse',
  )
  assert list(parts) == ['au']
  assert total == parts['au']


def test_unknown_names_are_told_with_the_choices():
  output, batch = _batch((6,))
  with pytest.raises(errors.InputError, match=r"'aus'.*'expression', 'au'"):
    losses.multi_task_loss(output, batch, weights={'aus': 1.0}, va_loss='mse')
  with pytest.raises(errors.InputError, match=r"'rmse'.*'mse', 'ccc'"):
    losses.multi_task_loss(output, batch, weights={'au': 1.0}, va_loss='rmse')


def test_the_tasks_cover_the_output_contract():
  output, batch = _batch((2,))
  tasks = set(labels.Output.__annotations__) - {'hidden'}
  _, parts = _multi_task_loss(output, batch, dict.fromkeys(tasks, 1.0), 'mse')
  assert set(parts) == tasks
