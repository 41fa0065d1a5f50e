"""The frameworks equal their PyTorch twin; gradients, masks and options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.core import errors
from abaw_jax.models.multi_task import feedback as feedbacks
from abaw_jax.models.multi_task import heads
from abaw_jax.models.temporal import window_context
from tests.models import temporal_models, torch_temporal

MASK = temporal_models.MASK
CONTEXT = window_context.WindowContext(jnp.asarray(MASK))
USE_TRUTH = np.array([True, False, True, True, False, False, True])
# Name: (whether it is the published model, our keys, options of the twin).
FRAMEWORKS = {
    'share_encoder': (
        False,
        {'framework': 'share_encoder', 'private_layers': 0, 'feedback': 'none'},
        {'private_layers': 0, 'feedback': 'none'},
    ),
    'share_bottom': (False, {'feedback': 'none'}, {'feedback': 'none'}),
    'hidden_feedback': (False, {}, {}),
    'scripted': (True, {'private_layers': 3}, {'private_layers': 3}),
    'without_private': (
        False,
        {'framework': 'share_encoder', 'private_layers': 0},
        {'private_layers': 0},
    ),
    'label_feedback': (True, {'feedback': 'label'}, {'feedback': 'label'}),
    'labels_of_all_kinds': (
        False,
        {
            'feedback': 'label',
            'feed_source': 'arousal,expression,au',
            'feed_target': 'valence',
            # Other values have their own tests.
            'feed_missing': 'zero',
            'feed_clip': False,
        },
        {
            'feedback': 'label',
            'sources': ('arousal', 'expression', 'au'),
            'targets': ('valence',),
        },
    ),
}


@pytest.fixture(name='truth', scope='module')
def _truth():
  """Returns (our batch, the same labels with the sentinels of the files)."""
  rng = np.random.default_rng(0)
  shape = (temporal_models.ROWS, temporal_models.LENGTH)
  va, expr = rng.random(shape) < 0.7, rng.random(shape) < 0.7
  au_mask = rng.random((*shape, 12)) < 0.7
  label = {
      'valence': rng.uniform(-1, 1, shape).astype(np.float32),
      'arousal': rng.uniform(-1, 1, shape).astype(np.float32),
      'expression': rng.integers(0, 8, shape).astype(np.int32),
      'au': rng.integers(0, 2, (*shape, 12)).astype(np.int8),
  }
  masks = {'valence': va, 'arousal': va, 'expression': expr, 'au': au_mask}
  ours = {k: jnp.where(masks[k], v, 0) for k, v in label.items()}
  ours |= {'va': va, 'expr': expr, 'au_mask': au_mask}
  missing = {'valence': -5, 'arousal': -5, 'expression': -1, 'au': -1}
  theirs = {
      k: torch.tensor(np.where(masks[k], v, missing[k]))
      for k, v in label.items()
  }
  theirs['expression'] = theirs['expression'].long()
  return {k: jnp.asarray(v) for k, v in ours.items()}, theirs


@pytest.mark.parametrize('name', FRAMEWORKS)
def test_a_framework_equals_its_twin(name, truth, monkeypatch):
  faithful, options, twin_options = FRAMEWORKS[name]
  options = options | (temporal_models.FAITHFUL if faithful else {})
  model = temporal_models.make(**options)
  twin = temporal_models.twin(zero_first=faithful, **twin_options)
  monkeypatch.setattr(
      feedbacks, 'truth_positions', lambda *_: jnp.asarray(USE_TRUTH)
  )
  x = temporal_models.features()
  real = np.ones(MASK.shape, bool) if faithful else MASK
  shape = {task: (*MASK.shape, dim) for task, dim in heads.TASK_DIMS.items()}
  rng = np.random.default_rng(1)
  weight = {
      k: rng.normal(size=s).astype(np.float32) * real[..., None]
      for k, s in shape.items()
  }

  # PyTorch gives NaN for a row without real frames.
  padding = ~MASK
  padding[2] = False
  expected = twin(
      torch.tensor(np.array(x)),
      None if faithful else torch.tensor(padding),
      truth=truth[1],
      use_truth=torch.tensor(USE_TRUTH),
  )
  sum(
      (expected[k] * torch.tensor(w)).sum() for k, w in weight.items()
  ).backward()

  def loss(params):
    output, _ = model.apply(
        {'params': params, 'batch_stats': {}},
        x,
        CONTEXT._replace(truth=truth[0], truth_rate=0.5),
        {},
        train=True,
        rngs={'dropout': jax.random.key(0)},
        mutable=['batch_stats'],
    )[0]
    output = {k: output[k].reshape(s) for k, s in shape.items()}
    return sum(jnp.sum(output[k] * w) for k, w in weight.items()), output

  params = torch_temporal.to_ours(twin)
  grads, output = jax.jit(jax.grad(loss, has_aux=True))(params)
  for task in heads.TASK_DIMS:
    np.testing.assert_allclose(
        np.asarray(output[task])[real],
        expected[task].detach().numpy()[real],
        atol=2e-5,
        err_msg=task,
    )
  want = torch_temporal.to_ours(twin, grad=True)
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=5e-4, rtol=1e-4),
      grads,
      want,
  )


def grad_norms(model, task):
  """Returns the L1 norm of the gradient of a task's outputs for each part."""
  weights = temporal_models.weights(model)

  def loss(params):
    output, _ = model.apply(
        weights | {'params': params},
        temporal_models.features(),
        CONTEXT,
        model.initial_carry(temporal_models.ROWS),
        train=False,
    )
    return jnp.sum(jnp.square(output[task]))

  grads = jax.jit(jax.grad(loss))(weights['params'])
  return {
      part: sum(float(np.abs(x).sum()) for x in jax.tree.leaves(tree))
      for part, tree in grads.items()
  }


def test_feedback_of_hidden_states_has_no_gradient():
  norms = grad_norms(temporal_models.make(), 'arousal')
  assert norms['encoder'] > 0
  assert norms['arousal'] > 0
  assert norms['valence'] == norms['au'] == norms['expression'] == 0


def test_feedback_of_labels_trains_only_the_embedding():
  norms = grad_norms(temporal_models.make(feedback='label'), 'arousal')
  assert norms['encoder'] > 0
  assert norms['feedback_valence'] > 0
  assert norms['feedback_au'] > 0
  assert norms['valence'] == norms['au'] == 0


def test_tasks_that_are_not_trained_have_no_gradient():
  model = temporal_models.make(
      tasks='valence,au', framework='share_encoder', private_layers=0
  )
  assert all(
      grad_norms(model, 'valence')[k] > 0 for k in ('encoder', 'valence')
  )
  assert set(grad_norms(model, 'expression').values()) == {0.0}


def outputs(model, weights, x):
  carry = model.initial_carry(temporal_models.ROWS)
  apply = jax.jit(
      lambda weights, x: model.apply(weights, x, CONTEXT, carry, train=False)[0]
  )
  return apply(weights, x)


ENCODERS = ('transformer', 'lstm', 'bilstm', 'gru', 'fft', 'tcn', 'none')
ONCE = [(name, False) for name in ENCODERS]


@pytest.mark.parametrize(
    ('encoder', 'faithful'),
    [*ONCE, ('transformer', True), ('bilstm', True), ('fft', True)],
)
def test_padding_changes_real_frames_only_in_the_published_model(
    encoder, faithful
):
  options = temporal_models.FAITHFUL if faithful else {}
  model = temporal_models.make(
      encoder=encoder,
      framework='share_encoder',
      private_layers=0,
      **options,
  )
  weights = temporal_models.weights(model)
  x = temporal_models.features()
  changed = jnp.where(MASK[..., None], x, 9.0)
  before, after = (outputs(model, weights, y) for y in (x, changed))
  same = [
      np.array_equal(np.asarray(before[k])[MASK], np.asarray(after[k])[MASK])
      for k in heads.TASK_DIMS
  ]
  # Only these two encoders read later frames without a mask.
  assert all(same) == (not faithful or encoder not in ('transformer', 'bilstm'))


def test_private_encoders_ignore_padding():
  model = temporal_models.make(encoder='gru')
  weights = temporal_models.weights(model)
  x = temporal_models.features()
  changed = jnp.where(MASK[..., None], x, 9.0)
  before, after = (outputs(model, weights, y) for y in (x, changed))
  for task in heads.TASK_DIMS:
    np.testing.assert_array_equal(
        np.asarray(before[task])[MASK], np.asarray(after[task])[MASK]
    )
  assert before['hidden']['arousal'].shape == (*MASK.shape, 8)


def test_second_positions_adds_positions_in_private_encoders():
  x = temporal_models.features()
  model = temporal_models.make()
  weights = temporal_models.weights(model)
  once = temporal_models.make(second_positions=False)
  first, second = (outputs(m, weights, x)['au'] for m in (model, once))
  assert np.abs(first - second)[MASK].max() > 1e-3


def test_layer_norm_removes_the_scale_of_features():
  model = temporal_models.make(
      encoder='none',
      feature_layer_norm=True,
      framework='share_encoder',
      private_layers=0,
  )
  weights = temporal_models.weights(model)
  x = temporal_models.features()
  once, twice = (outputs(model, weights, y)['au'] for y in (x, 100 * x + 7))
  np.testing.assert_allclose(once[MASK], twice[MASK], atol=1e-4)


PARTS = {  # published numbers of parameters for 1622 features
    'encoder': 1024 * 1622 + 1_024 + 8_399_872,
    'valence': 25_199_616 + 656_385,
    'arousal': 47_233_536 + 918_529,
    'expression': 25_199_616 + 658_184,
    'au': 25_199_616 + 659_212,
}


def test_the_published_model_has_its_number_of_parameters():
  model = temporal_models.temporal_zoo.make_temporal(
      **temporal_models.section(
          framework='share_bottom',
          depth=1,
          private_layers=3,
          feedback='hidden',
          feed_source='valence,au',
          feed_target='arousal',
      )
  )
  x = jnp.zeros((1, 4, 1622))
  context = window_context.WindowContext(jnp.ones((1, 4), bool))
  shapes = jax.eval_shape(
      lambda key: model.init(key, x, context, {}, train=False),
      jax.random.key(0),
  )['params']
  counts = {
      part: sum(leaf.size for leaf in jax.tree.leaves(tree))
      for part, tree in shapes.items()
  }
  assert counts == PARTS


def test_valence_and_arousal_read_the_last_features_and_end_in_tanh():
  options = {
      'encoder': 'none', 'linear_heads': 'valence,arousal', 'private_layers': 0,
      'framework': 'share_encoder', 'feedback': 'none',
  }  # fmt: skip
  model = temporal_models.make(**options, va_features=2, va_tanh=True)
  variables = temporal_models.weights(model)
  x = np.random.default_rng(0).normal(size=(1, 4, temporal_models.FEATURES))
  x = jnp.float32(x)
  context = window_context.WindowContext(jnp.ones((1, 4), bool))
  output, _ = model.apply(variables, x, context, {}, train=False)
  for task in ('valence', 'arousal'):
    head = jax.tree.map(np.asarray, variables['params'][task]['head']['out'])
    assert head['kernel'].shape == (2, 1)
    want = np.tanh(np.asarray(x)[..., -2:] @ head['kernel'] + head['bias'])
    want = want[..., 0]
    np.testing.assert_allclose(output[task], want, rtol=1e-5, atol=1e-6)
  assert variables['params']['au']['head']['fc1']['kernel'].shape[0] == 5
  wide = temporal_models.make(**options, va_features=6)
  with pytest.raises(errors.InputError, match='va_features=6: there are 5'):
    temporal_models.weights(wide)


def test_a_linear_head_has_one_layer():
  model = temporal_models.make(
      linear_heads='valence,expression', feedback='none', private_layers=0,
      framework='share_encoder',
  )  # fmt: skip
  params = temporal_models.weights(model)['params']
  layers = {task: set(params[task]['head']) for task in heads.TASK_DIMS}
  assert layers == {
      'valence': {'out'},
      'arousal': {'fc1', 'fc2', 'out'},
      'expression': {'out'},
      'au': {'fc1', 'fc2', 'out'},
  }
