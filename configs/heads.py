r"""The heads of HSE-NN (arXiv 2207.09508) on frozen features, frame by frame.

  abaw-jax train --config=heads
  abaw-jax train --config=heads --config.data.features=BOTH \
      --config.model.va_features=10

On two CPU cores, use the variant `small`; `smoke` takes seconds.

The heads share no parameters, so one run trains all of them: linear heads for
valence, arousal (both with tanh) and expressions, and a head with 128 hidden units
for action units. The losses are 1 - CCC, and cross-entropy and binary cross-entropy
weighted by label counts, with an L2 penalty on the kernels of linear heads. A batch
has 512 frames. The run keeps the best weights of each task, because HSE-NN stops the
training of each task separately. In HSE-NN, the heads of valence and arousal read
only the ten scores of the backbone. These are the last of the features that
`abaw-jax extract --output=both` writes with HSE-NN's weights: the second command.

Cost and score: not measured.
"""

import ml_collections

from abaw_jax.configs import base, mtl

VARIANTS = ('full', 'small', 'smoke')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = mtl.get_config(variant)
  config.model.encoder = 'none'
  config.model.update(mtl.SHARE_ENCODER)
  config.model.hidden_dims = (128,)
  config.model.linear_heads = 'valence,arousal,expression'
  config.model.va_tanh = True
  config.model.dropout = 0.0

  config.data.batch_size = 512
  config.data.window = config.data.stride = 1

  config.loss.l2 = 1 / 512
  config.loss.va_loss = 'ccc'
  config.loss.weights.valence = config.loss.weights.arousal = 0.5
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
