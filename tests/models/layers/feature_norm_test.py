"""Training steps do not change the statistics that normalise features."""

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.models.layers import feature_norm, variables
from abaw_jax.models.temporal import window_context
from tests.models import temporal_models

MASK = jnp.asarray(temporal_models.MASK)
CONTEXT = window_context.WindowContext(MASK)


def test_normalises_real_frames_and_not_padding():
  x = temporal_models.features()
  module = feature_norm.FeatureNorm()
  initial = module.init(jax.random.key(0), x, MASK)
  np.testing.assert_array_equal(module.apply(initial, x, MASK), x)
  rng = np.random.default_rng(0)
  mean, std = rng.normal(size=5), rng.uniform(0.5, 2, size=5)
  statistics = {'mean': jnp.asarray(mean), 'std': jnp.asarray(std)}
  found = module.apply({'batch_stats': statistics}, x, MASK)
  expected = np.where(MASK[..., None], (np.asarray(x) - mean) / std, x)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_model_keeps_its_statistics_in_training():
  model = temporal_models.make(
      encoder='none', framework='share_encoder', private_layers=0
  )
  x = temporal_models.features()
  weights = temporal_models.weights(model)
  plain = weights.pop('params') | weights
  statistics = {'mean': jnp.full(5, 0.5), 'std': jnp.full(5, 2.0)}
  weights = plain | {'batch_stats': {'feature_norm': statistics}}
  (output, _), updated = variables.apply(
      model, weights, x, CONTEXT, {}, train=True, rngs={}
  )
  jax.tree.map(
      np.testing.assert_array_equal,
      updated,
      {'batch_stats': weights['batch_stats']},
  )
  # The same as normalised features without statistics.
  (expected, _), _ = variables.apply(
      model, plain, (x - 0.5) / 2.0, CONTEXT, {}, train=False
  )
  np.testing.assert_allclose(
      output['au'][MASK], expected['au'][MASK], atol=1e-6
  )
