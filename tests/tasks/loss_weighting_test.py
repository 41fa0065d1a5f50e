"""Loss weighting methods equal hand-computed values and their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.tasks import loss_weighting

WEIGHTS = {'valence': 12.0, 'expression': 0.5}
LOSSES = {'valence': 0.25, 'expression': 2.0}
BOTH = {'valence': True, 'expression': True}
ONE = {'valence': True, 'expression': False}
KEY = jax.random.key(0)


def make(name, least_loss=0.0):
  return loss_weighting.make(name, weights=WEIGHTS, least_loss=least_loss)


def arrays(values, dtype=None):
  return {name: jnp.asarray(value, dtype) for name, value in values.items()}


def update(
    weighting, losses, labelled=None, *, learned=None, statistics=None, epoch=0
):
  """Returns (total, gradients of losses and learned weights, statistics)."""
  start = weighting.init(KEY)
  learned = arrays(learned or {}) or start[0]
  statistics = start[1] if statistics is None else statistics

  def total(losses, learned):
    return weighting(
        losses,
        arrays(labelled or BOTH),
        jnp.int32(epoch),
        learned,
        statistics,
    )

  (value, updated), grads = jax.value_and_grad(total, (0, 1), has_aux=True)(
      arrays(losses, jnp.float32), learned
  )
  return float(value), *jax.device_get(grads), updated


def test_fixed_is_the_weighted_sum():
  total, grads, _, updated = update(make('fixed'), LOSSES)
  assert total == 12 * 0.25 + 0.5 * 2.0
  assert grads == WEIGHTS
  assert updated == {}


def test_normalized_has_the_weights_as_its_value():
  total, grads, _, _ = update(make('normalized'), LOSSES)
  np.testing.assert_allclose(total, 12.5, rtol=1e-6)
  np.testing.assert_allclose(grads['valence'], 12 / 0.25, rtol=1e-6)
  np.testing.assert_allclose(grads['expression'], 0.5 / 2, rtol=1e-6)


def test_normalized_without_labels_is_zero_and_not_nan():
  nothing = {'valence': 0.0, 'expression': 0.0}
  total, grads, _, _ = update(make('normalized'), nothing)
  assert total == 0.0
  assert grads == WEIGHTS  # the loss itself has a gradient of 0


def test_least_loss_limits_the_gradient():
  tiny = {'valence': 1e-6, 'expression': 2.0}
  _, grads, _, _ = update(make('normalized', least_loss=0.01), tiny)
  np.testing.assert_allclose(grads['valence'], 12 / 0.01, rtol=1e-6)


def test_uncertainty_by_hand():
  learned = {'valence': np.log(4.0), 'expression': 0.0}
  total, grads, slopes, _ = update(make('uncertainty'), LOSSES, learned=learned)
  expected = 12 * 0.25 / 4 + 0.5 * 2.0 + np.log(4.0) / 2
  np.testing.assert_allclose(total, expected, rtol=1e-6)
  np.testing.assert_allclose(grads['valence'], 12 / 4, rtol=1e-6)
  np.testing.assert_allclose(slopes['valence'], 0.5 - 0.75, rtol=1e-6)


def test_uncertainty_has_its_minimum_at_twice_the_loss():
  learned = {task: np.log(2 * WEIGHTS[task] * LOSSES[task]) for task in WEIGHTS}
  _, _, slopes, _ = update(make('uncertainty'), LOSSES, learned=learned)
  np.testing.assert_allclose([*slopes.values()], 0.0, atol=1e-6)


def test_uncertainty_of_an_unlabelled_task_is_constant():
  losses = LOSSES | {'expression': 0.0}
  learned = {'valence': 0.3, 'expression': 0.7}
  total, _, slopes, _ = update(
      make('uncertainty'), losses, ONE, learned=learned
  )
  np.testing.assert_allclose(total, 3 * np.exp(-0.3) + 0.15, rtol=1e-6)
  assert slopes['expression'] == 0.0


@pytest.mark.parametrize('s', [0.5, -0.5])
def test_param_adjust_equals_the_published_formula(s):
  learned = {'valence': s, 'expression': 1.0}
  total, _, slopes, _ = update(make('param_adjust'), LOSSES, learned=learned)
  np.testing.assert_allclose(total, 3 / s**2 + 1.0 + np.log(0.5), rtol=1e-6)
  np.testing.assert_allclose(
      slopes['valence'], -2 * 3 / s**3 + 1 / s, rtol=1e-6
  )


def test_param_adjust_without_a_label_is_finite():
  nothing = {'valence': 0.0, 'expression': 0.0}
  total, grads, slopes, _ = update(make('param_adjust'), nothing, ONE)
  assert all(np.isfinite([total, *grads.values(), *slopes.values()]))


def dwa(history):
  """Returns total and gradients of every update (epoch, losses, labelled)."""
  weighting = make('dwa')
  _, statistics = weighting.init(KEY)
  found = []
  for epoch, losses, labelled in history:
    total, grads, _, statistics = update(
        weighting, losses, labelled, statistics=statistics, epoch=epoch
    )
    found.append((total, grads))
  return found


def test_dwa_follows_means_of_epochs():
  history = [
      (0, {'valence': 1.0, 'expression': 2.0}, BOTH),
      (0, {'valence': 3.0, 'expression': 4.0}, BOTH),
      (1, {'valence': 1.0, 'expression': 3.0}, BOTH),
      # No label, so it is not in the mean.
      (1, {'valence': 1.0, 'expression': 0.0}, ONE),
      (2, {'valence': 0.7, 'expression': 0.9}, BOTH),
      (2, {'valence': 0.1, 'expression': 0.2}, BOTH),
  ]
  found = dwa(history)
  for (_, losses, _), (total, _) in zip(history[:4], found, strict=False):
    plain = sum(WEIGHTS[task] * losses[task] for task in WEIGHTS)
    np.testing.assert_allclose(total, plain, rtol=1e-6)
  # Epoch means: 2, then 1 for valence; 3, then 3 for expression.
  raised = np.exp(np.array([1 / 2, 3 / 3]) / 1.5)
  factors = 2 * raised / raised.sum() * np.array([12.0, 0.5])
  for _, grads in found[4:]:
    ours = [grads[task] for task in WEIGHTS]
    np.testing.assert_allclose(ours, factors, rtol=1e-6)


def test_dwa_waits_for_two_epochs_of_every_task():
  history = [
      (epoch, {'valence': 1.0 + epoch, 'expression': 0.0}, ONE)
      for epoch in range(4)
  ]
  for _, grads in dwa(history):
    assert grads == WEIGHTS


def test_an_unknown_method_lists_the_methods():
  with pytest.raises(
      errors.InputError,
      match=r'loss\.weighting: unknown value .* fixed, normalized',
  ):
    make('gradnorm')
