"""A small version of the published model of AIM3-RUC, and its PyTorch twin."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.configs import mtl
from abaw_jax.models import temporal_zoo
from abaw_jax.models.multi_task import temporal_model
from abaw_jax.models.temporal import window_context
from tests.models import torch_temporal

FEATURES, ROWS, LENGTH = 5, 3, 7
MASK = np.arange(LENGTH)[None] < np.array([7, 4, 0])[:, None]
# Feedback from valence and AUs to arousal. The published script has three
# private layers, this one has one.
SCRIPTED = {
    'framework': 'share_bottom',
    'dim': 16,
    'depth': 1,
    'num_heads': 2,
    'mlp_dim': 24,
    'private_layers': 1,
    'private_head_dim': 8,
    'hidden_dims': (10, 8),
    'encoder_dropout': 0.0,
    'dropout': 0.0,
    'feedback': 'hidden',
    'feed_source': 'valence,au',
    'feed_target': 'arousal',
    'feed_dim': 8,
}
# Keys with another value in the published system.
FAITHFUL = {
    'first_position': 'zero',
    'mask_padding': False,
    'carry_backward': True,
    'feed_missing': 'zero',
    'feed_clip': False,
    'initializer': 'normal',
}


def section(**options: Any) -> dict[str, Any]:
  """Returns the `model` section of configs/mtl.py with changed keys."""
  config = mtl.get_config().model.to_dict()
  del config['name']
  assert set(options) <= set(config)
  return config | options


def make(**options: Any) -> temporal_model.TemporalModel:
  """Returns the small model with changed keys."""
  return temporal_zoo.make_temporal(**section(**SCRIPTED | options))


def twin(**options: Any) -> torch_temporal.TemporalModel:
  """Returns the PyTorch twin of the small model, with random weights."""
  sizes = {
      'dim': 16,
      'depth': 1,
      'num_heads': 2,
      'mlp_dim': 24,
      'private_layers': 1,
      'head_dim': 8,
      'hidden_dims': (10, 8),
      'feed_dim': 8,
  }
  model = torch_temporal.TemporalModel(FEATURES, **sizes | options)
  torch_temporal.randomise(model, 0.3)
  return model


def features(seed: int = 0, rows: int = ROWS) -> jax.Array:
  """Returns windows of random features."""
  return jax.random.normal(jax.random.key(seed), (rows, LENGTH, FEATURES))


def weights(model: temporal_model.TemporalModel) -> dict[str, Any]:
  """Returns random weights of the model, with `params` and `batch_stats`."""
  shapes = jax.eval_shape(
      lambda key: model.init(
          key,
          features(),
          window_context.WindowContext(jnp.asarray(MASK)),
          model.initial_carry(ROWS),
          train=False,
      ),
      jax.random.key(0),
  )
  rng = np.random.default_rng(0)
  params = jax.tree.map(
      lambda x: jnp.asarray(0.3 * rng.normal(size=x.shape), x.dtype),
      shapes['params'],
  )
  statistics = {'mean': jnp.zeros(FEATURES), 'std': jnp.ones(FEATURES)}
  return {'params': params, 'batch_stats': {'feature_norm': statistics}}
