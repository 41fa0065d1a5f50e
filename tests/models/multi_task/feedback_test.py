"""Feedback of labels to other tasks: choice of frames and embedding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.models.multi_task import feedback as feedbacks
from abaw_jax.models.temporal import window_context
from tests.models import temporal_models


@pytest.mark.parametrize('rate', [0.0, 0.3, 0.75, 1.0])
@pytest.mark.parametrize('length', [None, 13])
def test_the_rate_of_frames_with_true_labels_is_rounded_down(rate, length):
  mask = jnp.zeros((2, 20), bool)
  inside = 20 if length is None else length
  lengths = None if length is None else jnp.full(2, length)
  context = window_context.WindowContext(
      mask, window_length=lengths, truth_rate=rate
  )
  drawn = jax.vmap(lambda key: feedbacks.truth_positions(key, context))(
      jax.random.split(jax.random.key(0), 2000)
  )
  np.testing.assert_array_equal(drawn.sum(axis=1), int(inside * rate))
  assert not np.asarray(drawn)[:, inside:].any()
  # Every position has the same probability.
  probability = int(inside * rate) / inside
  np.testing.assert_allclose(
      np.asarray(drawn)[:, :inside].mean(axis=0), probability, atol=0.05
  )


def embed(task, output, truth=None, use_truth=None, **options):
  """Returns an embedding with the unit vector i for label i."""
  model = feedbacks.LabelEmbedding(task, 12, **options)
  table = jnp.eye(12)[: {'valence': 1, 'expression': 8, 'au': 12}[task]]
  return np.asarray(
      model.apply({'params': {'embedding': table}}, output, truth, use_truth)
  )


def test_predictions_are_embedded_as_probabilities():
  logits = jax.random.normal(jax.random.key(0), (1, 3, 12))
  np.testing.assert_allclose(
      embed('au', logits), 1 / (1 + np.exp(-np.asarray(logits))), atol=1e-6
  )
  embedded = embed('expression', logits[..., :8])
  exps = np.exp(np.asarray(logits[..., :8], np.float64))
  np.testing.assert_allclose(
      embedded[..., :8], exps / exps.sum(-1, keepdims=True), atol=1e-6
  )


def test_clip_limits_valence_to_its_range():
  output = jnp.array([[-3.0, -1.0, 0.0, 0.5, 2.0]])
  np.testing.assert_allclose(
      embed('valence', output)[0, :, 0], [0, 0, 0.5, 0.75, 1]
  )
  np.testing.assert_allclose(
      embed('valence', output, clip=False)[0, :, 0], [-1, 0, 0.5, 0.75, 1.5]
  )


def test_a_missing_true_label_becomes_the_prediction_or_zero():
  output = jnp.array([[-1.0, 1.0, 1.0, 0.0]])
  truth = {
      'valence': jnp.array([[0.0, 0.0, 0.5, 0.5]]),
      'va': jnp.array([[True, False, False, True]]),
  }
  use_truth = jnp.array([True, True, False, False])
  for missing, expected in (
      ('prediction', [0.5, 1.0, 1.0, 0.5]),
      ('zero', [0.5, 0.0, 1.0, 0.5]),
  ):
    embedded = embed('valence', output, truth, use_truth, missing=missing)
    np.testing.assert_allclose(embedded[0, :, 0], expected)


def test_some_aus_of_a_frame_may_be_unknown():
  truth = {
      'au': jnp.ones((1, 1, 12), jnp.int8),
      'au_mask': jnp.arange(12)[None, None] < 5,
  }
  embedded = embed('au', jnp.zeros((1, 1, 12)), truth, jnp.array([True]))
  np.testing.assert_allclose(embedded[0, 0], [1.0] * 5 + [0.5] * 7)


def test_a_new_rate_does_not_recompile():
  model = temporal_models.make(
      feedback='label', framework='share_encoder', private_layers=0,
      encoder='none',
  )  # fmt: skip
  weights = temporal_models.weights(model)
  mask = jnp.asarray(temporal_models.MASK)
  truth = {
      'valence': jnp.ones(mask.shape),
      'va': mask,
      'au': jnp.ones((*mask.shape, 12), jnp.int8),
      'au_mask': jnp.ones((*mask.shape, 12), bool),
  }

  @jax.jit
  def arousal(rate):
    output, _ = model.apply(
        weights,
        temporal_models.features(),
        window_context.WindowContext(mask, truth=truth, truth_rate=rate),
        {},
        train=True,
        rngs={'dropout': jax.random.key(0)},
    )
    return output['arousal']

  none, half, full = (arousal(jnp.float32(r)) for r in (0, 0.5, 1))
  assert arousal._cache_size() == 1
  differs = [np.abs(x - none)[mask] > 1e-4 for x in (half, full)]
  assert 0 < differs[0].sum() < differs[1].sum() == mask.sum()
