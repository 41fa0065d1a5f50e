"""Losses equal NumPy, scikit-learn and PyTorch, and ignore masked values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk_metrics
import torch

from abaw_jax.tasks import losses

_SHAPE = (3, 5)
_WEIGHTS = jnp.array([3.0, 0.5, 1.0, 2.0, 0.0, 1.5, 0.25, 7.0])
_FACTORS = jnp.array([3.0, 0.5, 1.0, 2.0, 1.5])
_ROW_WEIGHTS = np.random.default_rng(3).integers(1, 5, _SHAPE)
_LOSSES = {
    'mse': losses.mse_loss,
    'mse_all': functools.partial(losses.mse_loss, denominator=jnp.float32(15)),
    'ccc': losses.ccc_loss,
    'half_ccc': losses.half_ccc_loss,
    'ccc_weighted': functools.partial(
        losses.ccc_loss, weights=jnp.float32(_ROW_WEIGHTS)
    ),
    'bce_focal': functools.partial(losses.focal_loss, gamma=1.5),
    'bce_asymmetric': functools.partial(
        losses.asymmetric_loss, gamma_pos=0.5, gamma_neg=4.0, clip=0.05
    ),
    'bce': losses.bce_loss,
    'bce_weighted': functools.partial(
        losses.bce_loss, positive=_FACTORS, negative=1 / _FACTORS
    ),
    'ce': losses.cross_entropy,
    'ce_weighted': functools.partial(
        losses.cross_entropy,
        class_weights=_WEIGHTS,
        label_smoothing=0.1,
        class_offsets=jnp.log(jnp.arange(1.0, 9.0) / 36),
    ),
    'ce_product': functools.partial(
        losses.cross_entropy,
        class_weights=_WEIGHTS,
        class_weight_mean='product',
    ),
    'ce_probs': functools.partial(losses.cross_entropy, class_weights=_WEIGHTS),
}


def _case(name, dtype=jnp.float32):
  """Returns (jitted loss, predictions, targets, mask)."""
  rng = np.random.default_rng(1)
  mask = jnp.asarray(rng.random(_SHAPE) < 0.6)
  if name.startswith('ce'):
    pred = jnp.asarray(rng.normal(size=(*_SHAPE, 8)), dtype)
    if name == 'ce_probs':
      target = jnp.asarray(rng.dirichlet(np.ones(8), _SHAPE), jnp.float32)
      return jax.jit(_LOSSES[name]), pred, target, mask
    target = jnp.asarray(rng.integers(0, 8, _SHAPE), jnp.int32)
    return jax.jit(_LOSSES[name]), pred, target, mask
  pred = jnp.asarray(rng.normal(size=_SHAPE), dtype)
  if name.startswith('bce'):
    target = jnp.asarray(rng.integers(0, 2, _SHAPE), jnp.int8)
  else:
    target = jnp.asarray(rng.uniform(-1, 1, _SHAPE), jnp.float32)
  return jax.jit(_LOSSES[name]), pred, target, mask


def test_mse_divides_by_the_number_of_valid_elements():
  loss, pred, target, mask = _case('mse')
  expected = sk_metrics.mean_squared_error(target[mask], pred[mask])
  np.testing.assert_allclose(loss(pred, target, mask), expected, rtol=1e-6)


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
  for pred, true in ((constant, target), (constant, constant)):
    value, grad = jax.value_and_grad(loss)(pred, true, mask)
    np.testing.assert_allclose(value, 1.0, atol=1e-6)
    assert np.isfinite(grad).all()


def test_cross_entropy_equals_sklearn_log_loss():
  loss, logits, target, mask = _case('ce')
  expected = sk_metrics.log_loss(
      target[mask], jax.nn.softmax(logits[mask]), labels=range(8)
  )
  np.testing.assert_allclose(loss(logits, target, mask), expected, rtol=1e-6)


def test_mse_with_a_denominator():
  loss, pred, target, mask = _case('mse_all')
  expected = np.sum(np.square(pred - target)[mask]) / 15
  np.testing.assert_allclose(loss(pred, target, mask), expected, rtol=1e-6)


def test_half_ccc_uses_unbiased_moments():
  loss, pred, target, mask = _case('half_ccc')
  x, y = np.float64(pred[mask]), np.float64(target[mask])
  cov = np.cov(x, y, ddof=1)
  ccc = 2 * cov[0, 1] / (cov.trace() + (x.mean() - y.mean()) ** 2)
  np.testing.assert_allclose(loss(pred, target, mask), (1 - ccc) / 2, rtol=1e-6)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize('target_kind', ['classes', 'probs'])
def test_weighted_cross_entropy_equals_torch(smoothing, target_kind):
  _, logits, target, mask = _case(
      'ce' if target_kind == 'classes' else 'ce_probs'
  )
  weights = _WEIGHTS + 0.1  # avoids a division by 0 in PyTorch
  value = losses.cross_entropy(
      logits, target, mask, class_weights=weights, label_smoothing=smoothing
  )
  make = torch.nn.CrossEntropyLoss
  target = torch.tensor(np.asarray(target[mask]))
  if target_kind == 'classes':
    torch_loss = make(
        torch.tensor(np.asarray(weights)), label_smoothing=smoothing
    )
    target = target.long()
    expected = torch_loss(torch.tensor(np.asarray(logits[mask])), target)
  else:
    # For distributions PyTorch divides by the rows, and we by their weights.
    torch_loss = make(
        torch.tensor(np.asarray(weights)),
        reduction='sum',
        label_smoothing=smoothing,
    )
    expected = torch_loss(torch.tensor(np.asarray(logits[mask])), target)
    expected = expected / (target.numpy() @ np.asarray(weights)).sum()
  np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_weights_and_smoothing_of_the_published_single_task_models():
  # HSE-NN: mean over rows of sum_c -w_c q_c log p_c.
  _, logits, target, mask = _case('ce')
  value = losses.cross_entropy(
      logits,
      target,
      mask,
      class_weights=_WEIGHTS,
      class_weight_mean='rows',
      label_smoothing=0.1,
  )
  x, y = np.float64(logits[mask]), np.asarray(target[mask])
  log_p = x - np.log(np.exp(x).sum(-1, keepdims=True))
  q = 0.9 * np.eye(8)[y] + 0.1 / 8
  np.testing.assert_allclose(
      value, np.mean(-(np.asarray(_WEIGHTS) * q * log_p).sum(-1)), rtol=1e-6
  )


def test_the_published_joint_model_does_not_weight_classes():
  # Keras multiplies losses [n] by weights [n, 1]: the mean is over [n, n].
  loss, logits, target, mask = _case('ce_product')
  x, y = np.float64(logits[mask]), np.asarray(target[mask])
  log_p = x - np.log(np.exp(x).sum(-1, keepdims=True))
  entropy = -log_p[np.arange(len(y)), y]
  product = np.asarray(_WEIGHTS)[y][:, None] * entropy
  assert product.shape == (len(y), len(y))
  np.testing.assert_allclose(
      loss(logits, target, mask), product.mean(), rtol=1e-6
  )


def test_an_offset_by_frequency_is_a_balanced_softmax():
  _, logits, target, mask = _case('ce')
  shares = jnp.arange(1.0, 9.0) / 36
  value = losses.cross_entropy(
      logits, target, mask, class_offsets=jnp.log(shares)
  )
  x, y = np.float64(logits[mask]), np.asarray(target[mask])
  raised = np.asarray(shares) * np.exp(x)
  p = raised / raised.sum(-1, keepdims=True)
  expected = -np.log(p[np.arange(len(y)), y]).mean()
  np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_weighted_bce_equals_the_published_formula():
  # HSE-NN: mean of wneg^(1 - t) wpos^t BCE(t, p).
  loss, logits, target, mask = _case('bce_weighted')
  t, z = np.float64(target), np.float64(logits)
  p = 1 / (1 + np.exp(-z))
  factor = np.asarray(_FACTORS)
  factors = (1 / factor) ** (1 - t) * factor**t
  expected = factors * -(t * np.log(p) + (1 - t) * np.log(1 - p))
  np.testing.assert_allclose(
      loss(logits, target, mask), expected[mask].mean(), rtol=1e-6
  )


def test_bce_equals_torch_and_does_not_saturate():
  loss, logits, target, mask = _case('bce')
  logits = logits.at[0, :].mul(1000.0)
  expected = torch.nn.functional.binary_cross_entropy_with_logits(
      torch.tensor(np.asarray(logits[mask])),
      torch.tensor(np.float32(target[mask])),
  )
  np.testing.assert_allclose(loss(logits, target, mask), expected, rtol=1e-6)


def test_focal_loss_equals_its_formula():
  _, logits, target, mask = _case('bce')
  p = 1 / (1 + np.exp(-np.float64(logits[mask])))
  p = np.where(target[mask], p, 1 - p)
  for gamma in (0.0, 2.0):
    np.testing.assert_allclose(
        losses.focal_loss(logits, target, mask, gamma=gamma),
        np.mean(-((1 - p) ** gamma) * np.log(p)),
        rtol=1e-6,
    )


@pytest.mark.parametrize('clip', [0.0, 0.05])
def test_asymmetric_loss_equals_the_published_code(clip):
  _, _, target, mask = _case('bce')
  # Some absent units are below the clip.
  logits = jnp.linspace(-7, 5, 15).reshape(_SHAPE)
  y = np.float64(target[mask])
  p = 1 / (1 + np.exp(-np.float64(logits[mask])))
  rest = np.minimum(1 - p + clip, 1)
  entropy = -(y * np.log(p) + (1 - y) * np.log(rest))
  gamma = 1.0 * y + 4.0 * (1 - y)
  factor = (1 - (p * y + rest * (1 - y))) ** gamma
  assert (factor == 0).any() == bool(clip)
  options = {'gamma_pos': 1.0, 'gamma_neg': 4.0, 'clip': clip}
  np.testing.assert_allclose(
      losses.asymmetric_loss(logits, target, mask, **options),
      np.mean(entropy * factor),
      rtol=1e-5,
  )


def test_losses_of_units_do_not_saturate():
  extreme = jnp.array([-1e30, -200.0, -50.0, 50.0, 200.0, 1e30])
  target = jnp.array([1, 0] * 3, jnp.int8)
  mask = jnp.ones(6, bool)
  for name in ('bce_focal', 'bce_asymmetric'):
    for y in (target, 1 - target):
      value, grad = jax.value_and_grad(_LOSSES[name])(extreme, y, mask)
      assert np.isfinite(value)
      assert np.isfinite(grad).all()
      # A wrong confident logit keeps the gradient of a logit. With a clip, an
      # absent unit is an outlier that the loss may ignore (section 3.4).
      if name == 'bce_focal':
        wrong = (extreme > 0) != (y == 1)
        np.testing.assert_allclose(jnp.abs(grad[wrong]), 1 / 6, rtol=1e-5)
        assert not grad[~wrong].any()


def test_a_weighted_ccc_counts_an_element_as_often_as_its_weight():
  loss, pred, target, mask = _case('ccc_weighted')
  repeats = _ROW_WEIGHTS[mask]
  x, y = (jnp.asarray(np.repeat(v[mask], repeats)) for v in (pred, target))
  expected = losses.ccc_loss(x, y, jnp.ones(len(x), bool))
  np.testing.assert_allclose(loss(pred, target, mask), expected, rtol=1e-6)
  equal = jnp.full(_SHAPE, 3.0)
  np.testing.assert_allclose(
      losses.half_ccc_loss(pred, target, mask, weights=equal),
      losses.half_ccc_loss(pred, target, mask),
      rtol=1e-6,
  )
  squares = np.square(np.float64(pred - target)) * _ROW_WEIGHTS
  np.testing.assert_allclose(
      losses.mse_loss(pred, target, mask, weights=jnp.float32(_ROW_WEIGHTS)),
      squares[mask].mean(),
      rtol=1e-6,
  )


@pytest.mark.parametrize('name', list(_LOSSES))
def test_gradients_equal_finite_differences(name):
  loss, pred, target, mask = _case(name)
  grad = jax.grad(loss)(pred, target, mask)
  direction = jax.random.normal(jax.random.key(0), pred.shape)
  # Central difference in float32: with step 1e-2 both errors are about 1e-4.
  forward = loss(pred + 1e-2 * direction, target, mask)
  backward = loss(pred - 1e-2 * direction, target, mask)
  slope = (forward - backward) / 2e-2
  np.testing.assert_allclose(jnp.vdot(grad, direction), slope, atol=1e-3)


@pytest.mark.parametrize('name', list(_LOSSES))
def test_masked_values_have_no_effect(name):
  loss, pred, target, mask = _case(name)
  grad_fn = jax.jit(jax.value_and_grad(loss))
  value, grad = grad_fn(pred, target, mask)
  wide = mask if pred.ndim == mask.ndim else mask[..., None]
  sentinel = jnp.nan if jnp.issubdtype(target.dtype, jnp.floating) else -1
  for poison in (jnp.nan, jnp.inf, 1e30):
    dirty = jnp.where(wide, pred, poison)
    rows = mask if target.ndim == mask.ndim else mask[..., None]
    dirty_target = jnp.where(rows, target, sentinel).astype(target.dtype)
    dirty_value, dirty_grad = grad_fn(dirty, dirty_target, mask)
    assert dirty_value == value
    np.testing.assert_array_equal(dirty_grad, grad)
  outside = jnp.broadcast_to(~wide, grad.shape)
  assert not np.any(grad[outside])


@pytest.mark.parametrize('name', list(_LOSSES))
def test_without_valid_elements_loss_and_gradient_are_zero(name):
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
def test_losses_are_float32_for_bfloat16_predictions(name):
  loss, pred, target, mask = _case(name, jnp.bfloat16)
  value = loss(pred, target, mask)
  assert value.dtype == jnp.float32
  np.testing.assert_array_equal(
      value, loss(pred.astype(jnp.float32), target, mask)
  )
