r"""The small heads of HSE-NN (arXiv 2207.09508) on frozen features, frame by frame.

Train:  python -m abaw_jax.train --config=configs/heads.py
Scores: add --config.data.features=BOTH --config.model.va_features=10
Small:  python -m abaw_jax.train --config=configs/heads.py:small   (2 CPU cores)
Smoke:  python -m abaw_jax.train --config=configs/heads.py:smoke   (seconds)

The heads share nothing, so one run trains them all: linear ones for valence,
arousal (in tanh) and expressions, one of 128 units for action units. Losses are
1 - CCC, cross-entropy and binary cross-entropy weighted by the counts of the labels,
with a penalty of squared linear kernels; 512 frames per update; each task's best
weights are kept (they stop training one by one). Theirs reads valence and arousal
from the ten scores of the backbone alone, the last of the features that
`abaw_jax.extract --output=both` makes with their weights: the second command.
"""

import ml_collections

from abaw_jax.configs import base, mtl

VARIANTS = ('full', 'small', 'smoke')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = mtl.get_config(variant)
  config.model.encoder = 'none'
  config.model.framework = 'share_encoder'
  config.model.private_layers = 0
  config.model.feedback = 'none'
  config.model.head_dims = (128,)
  config.model.linear_heads = 'valence,arousal,expression'
  config.model.va_tanh = True
  config.model.dropout = 0.0

  config.data.batch_size = 512
  config.data.window = 1
  config.data.stride = 1

  config.loss.l2 = 1 / 512
  config.loss.va_loss = 'ccc'
  config.loss.weights.valence = 0.5
  config.loss.weights.arousal = 0.5
  config.loss.weights.expression = 1.0
  config.loss.class_weights = 'counts'
  config.loss.class_weight_mean = 'rows'
  config.loss.au_weights = 'counts'

  config.optim.lr = 1e-3
  config.optim.b1 = 0.9
  config.optim.clip_norm = 0.0
  config.optim.schedule = 'linear'
  config.optim.warmup_epochs = 0.0
  config.optim.hold_epochs = 20.0
  config.epochs = 20.0
  config.eval_epochs = 1.0
  if variant == 'smoke':
    config.data.batch_size = 32
    config.epochs = 2.0
  return config
