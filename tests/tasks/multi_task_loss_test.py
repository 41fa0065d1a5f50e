"""The multi-task loss equals its parts and published values."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.core import errors, labels
from abaw_jax.data import label_counts
from abaw_jax.tasks import losses, multi_task_loss

WEIGHTS = {'valence': 12.0, 'arousal': 6.0, 'expression': 0.35, 'au': 1.0}
PLAIN = {
    'weights': WEIGHTS,
    'va_loss': 'ccc',
    'va_mean': 'labelled',
    'class_weights': 'none',
    'class_weight_mean': 'weights',
    'label_smoothing': 0.0,
    'prior_adjustment': 0.0,
    'au_weights': 'none',
}
# Published label counts of AffectNet and s-Aff-Wild2.
AFFECTNET = np.array([74874, 24882, 3803, 6378, 134416, 25459, 14090, 3750])
POSITIVES = np.array([
    18713, 8745, 20342, 30605, 41337, 38286, 26783, 2460, 2980, 5003, 70584,
    10756,
])  # fmt: skip
COUNTS = label_counts.LabelCounts(AFFECTNET, POSITIVES, np.full(12, 103316))


def make(**changes):
  return multi_task_loss.make(**(PLAIN | changes))


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
@pytest.mark.parametrize('va_loss', list(multi_task_loss.VA_LOSSES))
def test_the_total_is_the_weighted_sum(shape, va_loss):
  output, batch = _batch(shape)
  total, parts = make(va_loss=va_loss)(output, batch)
  va_fn = multi_task_loss.VA_LOSSES[va_loss]
  expected = {
      'valence': va_fn(output['valence'], batch['valence'], batch['va']),
      'arousal': va_fn(output['arousal'], batch['arousal'], batch['va']),
      'expression': losses.cross_entropy(
          output['expression'], batch['expression'], batch['expr']
      ),
      'au': losses.bce_loss(output['au'], batch['au'], batch['au_mask']),
  }
  assert parts.keys() == expected.keys()
  for task, value in expected.items():
    np.testing.assert_allclose(parts[task], value, rtol=1e-6)
  np.testing.assert_allclose(
      total, sum(WEIGHTS[task] * expected[task] for task in expected), rtol=1e-6
  )


def test_a_task_without_a_weight_needs_no_output_and_no_label():
  output, batch = _batch((6,))
  total, parts = make(weights={'au': 1.0}, va_loss='mse')(
      {'au': output['au']}, {k: batch[k] for k in ('au', 'va', 'au_mask')}
  )
  assert list(parts) == ['au']
  assert total == parts['au']


def test_the_tasks_cover_the_output_contract():
  output, batch = _batch((2,))
  tasks = set(labels.Output.__annotations__) - {'hidden'}
  _, parts = make(weights=dict.fromkeys(tasks, 1.0))(output, batch)
  assert set(parts) == tasks


def test_the_loss_of_mt_emotieffnet_by_hand():
  # Class weights 3 and 1; softmax 1/8 and 9/16 at the labels.
  logits = np.zeros((2, 8), np.float32)
  logits[1, 4] = math.log(9)
  output = {
      'valence': jnp.array([0.0, 1.0]),
      'arousal': jnp.array([1.0, 0.0]),
      'expression': jnp.asarray(logits),
      'au': jnp.ones((2, 12)),
  }
  batch = {
      'valence': jnp.array([0.0, 0.5]),
      'arousal': jnp.array([0.0, 1.0]),
      'expression': jnp.array([0, 4]),
      'au': jnp.zeros((2, 12), jnp.int8),
      'va': jnp.ones(2, bool),
      'expr': jnp.ones(2, bool),
      'au_mask': jnp.zeros((2, 12), bool),
  }
  loss = make(
      weights=dict.fromkeys(WEIGHTS, 1.0),
      va_loss='half_ccc',
      class_weights='3,0,0,0,1,0,0,0',
  )
  total, parts = loss(output, batch)
  # Variances 1/2 and 1/8, covariance 1/4, means 1/4 apart: CCC 8/11.
  np.testing.assert_allclose(parts['valence'], 3 / 22, rtol=1e-6)
  np.testing.assert_allclose(parts['arousal'], 1.0, rtol=1e-6)
  entropy = (3 * math.log(8) + math.log(16 / 9)) / 4
  np.testing.assert_allclose(parts['expression'], entropy, rtol=1e-6)
  np.testing.assert_allclose(total, entropy + 3 / 22 + 1.0, rtol=1e-6)


def test_the_loss_of_mt_emotieffnet_on_a_batch_in_numpy():
  output, batch = _batch((48,))
  batch |= {k: jnp.ones(48, bool) for k in ('va', 'expr')}
  loss = make(
      weights=dict.fromkeys(('valence', 'arousal', 'expression'), 1.0),
      va_loss='half_ccc',
      class_weights='counts',
      counts=COUNTS,
  )
  total, _ = loss(output, batch)
  weights = AFFECTNET.max() / AFFECTNET
  z, y = np.float64(output['expression']), np.asarray(batch['expression'])
  log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
  expected = -(weights[y] * log_p[np.arange(48), y]).sum() / weights[y].sum()
  for name in ('valence', 'arousal'):
    p, t = np.float64(output[name]), np.float64(batch[name])
    r = np.corrcoef(p, t)[0, 1]
    s_p, s_t = p.std(ddof=1), t.std(ddof=1)
    bias = (p.mean() - t.mean()) ** 2
    expected += (1 - 2 * r * s_p * s_t / (s_p**2 + s_t**2 + bias)) / 2
  np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_weights_from_counts_equal_published_ones():
  loss = make(class_weights='counts', au_weights='counts', counts=COUNTS)
  np.testing.assert_allclose(
      loss.class_weights,
      [1.795, 5.402, 35.345, 21.075, 1.0, 5.280, 9.540, 35.844],
      atol=5e-4,
  )
  np.testing.assert_allclose(
      loss.positive,
      [2.761, 5.907, 2.539, 1.688, 1.250, 1.349, 1.929, 20.999, 17.335,
       10.325, 0.732, 4.803],
      atol=5e-4,
  )  # fmt: skip
  np.testing.assert_allclose(
      loss.negative,
      [0.611, 0.546, 0.623, 0.710, 0.833, 0.794, 0.675, 0.512, 0.515, 0.525,
       1.578, 0.558],
      atol=5e-4,
  )  # fmt: skip


def test_task_weights_from_counts_equal_published_ones():
  expressions = np.array([23976, 4555, 3168, 3122, 18135, 7609, 5228, 24852])
  counts = label_counts.LabelCounts(
      expressions, POSITIVES, np.full(12, 103316), 103917
  )
  weights = make(
      weights={'valence': 0.5, 'arousal': 0.5, 'expression': 1, 'au': 1},
      task_weights='counts',
      counts=counts,
  ).weights
  np.testing.assert_allclose(
      list(weights.values()), [0.5, 0.5, 1.1464, 1.0058], atol=5e-5
  )


def test_masked_rows_may_count_as_zeros():
  # HSE-NN's joint model: outputs and labels times their masks.
  output, batch = _batch((6,))
  batch |= {'real': jnp.array([True] * 5 + [False])}
  _, parts = make(masked_rows='zeros')(output, batch)
  va, expr, au_mask = (
      np.asarray(batch[k])[:5] for k in ('va', 'expr', 'au_mask')
  )
  x, y = (np.float64(part['valence'])[:5] * va for part in (output, batch))
  cov = np.cov(x, y, ddof=0)
  ccc = 2 * cov[0, 1] / (cov.trace() + (x.mean() - y.mean()) ** 2)
  np.testing.assert_allclose(parts['valence'], 1 - ccc, rtol=1e-5)
  z = np.float64(output['expression'])[:5]
  log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
  entropy = -log_p[np.arange(5), np.asarray(batch['expression'])[:5]]
  np.testing.assert_allclose(
      parts['expression'], np.where(expr, entropy, np.log(8)).mean(), rtol=1e-6
  )
  p, t = 1 / (1 + np.exp(-np.float64(output['au'])[:5])), batch['au'][:5]
  bce = -(t * np.log(p) + (1 - t) * np.log(1 - p))
  np.testing.assert_allclose(parts['au'], np.mean(bce * au_mask), rtol=1e-6)
  # Masked rows have no gradient.
  grads = jax.grad(lambda x: make(masked_rows='zeros')(x, batch)[0])(output)
  assert not np.any(np.asarray(grads['expression'])[~np.asarray(batch['expr'])])


def test_the_loss_is_finite_if_a_label_never_occurs():
  nothing = label_counts.LabelCounts(
      np.array([5, 0, 0, 0, 9, 0, 0, 0]), np.zeros(12, int), np.zeros(12, int)
  )
  output, batch = _batch((6,))
  batch['expression'] = jnp.array([0, 4, 4, 0, 4, 0])
  loss = make(
      class_weights='counts',
      au_weights='counts',
      label_smoothing=0.1,
      prior_adjustment=1.0,
      counts=nothing,
  )
  value, grads = jax.value_and_grad(lambda x: loss(x, batch)[0])(output)
  assert np.isfinite(value)
  assert all(np.isfinite(grad).all() for grad in jax.tree.leaves(grads))


def test_the_log_prior_is_added_to_the_logits():
  output, batch = _batch((6,))
  _, parts = make(prior_adjustment=2.0, counts=COUNTS)(output, batch)
  prior = 2.0 * jnp.log(jnp.asarray(AFFECTNET / AFFECTNET.sum(), jnp.float32))
  shifted = output | {'expression': output['expression'] + prior[None]}
  _, expected = make()(shifted, batch)
  np.testing.assert_allclose(
      parts['expression'], expected['expression'], rtol=1e-5
  )


def test_the_mean_over_all_elements_divides_by_window_lengths():
  output, batch = _batch((2, 4))
  squares = np.square(output['valence'] - batch['valence'])[batch['va']].sum()
  loss = make(va_loss='mse', va_mean='all')
  _, parts = loss(output, batch)
  np.testing.assert_allclose(parts['valence'], squares / 8, rtol=1e-6)
  lengths = jnp.array([3, 3], jnp.int32)
  _, parts = loss(output, batch, window_length=lengths)
  np.testing.assert_allclose(parts['valence'], squares / 6, rtol=1e-6)


def test_weights_by_density_and_losses_of_units_reach_the_parts():
  output, batch = _batch((2, 4))
  bins = {name: np.arange(1, 41) for name in ('valence', 'arousal')}
  counts = label_counts.LabelCounts(AFFECTNET, POSITIVES, POSITIVES, bins=bins)
  loss = make(
      va_weights='inverse',
      va_density_sigma=1e-3,  # no smoothing: each bin alone
      au_loss='focal',
      focal_gamma=2.0,
      counts=counts,
  )
  _, parts = loss(output, batch)
  labelled = np.asarray(batch['arousal'])
  in_bin = np.floor((np.float64(labelled) + 1) * 20)
  expected = losses.ccc_loss(
      output['arousal'],
      batch['arousal'],
      batch['va'],
      weights=jnp.asarray(1 / (in_bin + 1)),
  )
  np.testing.assert_allclose(parts['arousal'], expected, rtol=1e-5)
  focal = losses.focal_loss(
      output['au'], batch['au'], batch['au_mask'], gamma=2.0
  )
  np.testing.assert_array_equal(parts['au'], focal)
  # Without counts, as for evaluation, labels weigh the same.
  _, plain = make(va_weights='inverse')(output, batch)
  np.testing.assert_array_equal(
      plain['arousal'], make()(output, batch)[1]['arousal']
  )


def test_probabilities_replace_classes():
  output, batch = _batch((6,))
  _, expected = make(label_smoothing=0.1)(output, batch)
  probs = jax.nn.one_hot(batch['expression'], 8)
  batch |= {'expression_probs': probs, 'expression': jnp.full(6, -1)}
  _, parts = make(label_smoothing=0.1)(output, batch)
  np.testing.assert_array_equal(parts['expression'], expected['expression'])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'weights': {'aus': 1.0}}, r"weights: .*'aus'.* expression, au"),
        ({'va_loss': 'rmse'}, r"va_loss: .*'rmse'.* half_ccc, mse"),
        ({'va_mean': 'none'}, r"va_mean: .*'none'.* labelled, all"),
        ({'va_mean': 'all'}, 'ccc is not a mean'),
        ({'class_weights': '1,2'}, 'class_weights=1,2: .*8 numbers'),
        (
            {'class_weights': 'count'},
            "give 'none', 'counts', 'mean_counts' or 8 numbers",
        ),
        ({'au_weights': 'all'}, 'none, counts'),
        ({'class_weight_mean': 'sum'}, 'weights, rows, product'),
        ({'task_weights': 'rows'}, 'none, counts'),
        ({'masked_rows': 'none'}, 'left_out, zeros'),
        ({'au_loss': 'dice'}, 'bce, focal, asymmetric'),
        ({'va_weights': 'counts'}, 'none, inverse, sqrt_inverse'),
        (
            {'va_weights': 'inverse', 'masked_rows': 'zeros'},
            "va_weights=inverse: .* set it to 'left_out'",
        ),
    ],
)
def test_wrong_values_give_a_message_with_the_choices(changes, message):
  with pytest.raises(errors.InputError, match=message):
    make(**changes)


def test_pseudo_labels_have_a_weighted_loss_of_their_own():
  output, batch = _batch((2, 40))
  pseudo = {
      name: batch[mask]
      & (jnp.arange(40) % 3 == 0).reshape(1, 40, *(1,) * (batch[mask].ndim - 2))
      for mask, name in labels.PSEUDO.items()
  }
  parts = [
      make()(output, batch | masks)[1]
      for masks in (
          {m: batch[m] & ~pseudo[name] for m, name in labels.PSEUDO.items()},
          {m: pseudo[name] for m, name in labels.PSEUDO.items()},
      )
  ]
  _, found = make(pseudo_weight=0.3)(output, batch | pseudo)
  for task in WEIGHTS:
    want = parts[0][task] + 0.3 * parts[1][task]
    np.testing.assert_allclose(found[task], want, rtol=1e-5)
  with pytest.raises(errors.InputError, match=r'pseudo_weight=0\.3: needs'):
    make(pseudo_weight=0.3, masked_rows='zeros')
