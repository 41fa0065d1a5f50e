r"""The heads of HSE-NN (arXiv 2207.09508) on frozen features, frame by frame.

  abaw-jax train --config=heads
  abaw-jax train --config=heads:joint --config.data.name=s_aff_wild2 \
      --config.data.dir=DATA_DIR --config.data.features=BOTH
  abaw-jax train --config=heads --config.data.name=s_aff_wild2 \
      --config.data.dir=DATA_DIR --config.data.features=BOTH \
      --config.model.va_features=10

BOTH is a feature set of `abaw-jax extract --output=both`: the embedding and, after it,
the scores of a network. With HSE-NN's weights these are 8 logits, valence and arousal,
so `va_features` is 10. The heads of the procedural corpus have 22 scores.

`full` is the submitted system, with independent heads: linear heads for valence,
arousal (with tanh, on the scores only) and expressions, and a head with 128 hidden
units for action units. The losses are 1 - CCC, and cross-entropy and binary
cross-entropy weighted by label counts. No parameter is shared, so one run trains all
heads. It keeps the best weights of each task, because HSE-NN stops the training of each
task separately. Every batch has 512 frames, of which a head uses the labelled ones;
HSE-NN's batches had 512 labelled frames.

`joint` is their first system: all heads are linear, those of expressions and action
units also read the predicted valence and arousal, and the losses are weighted by the
number of labelled frames. `joint_faithful` also has the mistakes of its loss
(docs/temporal.md). Without the predicted valence and arousal, add
`--config.model.feedback=none`.

`features` and `scores` are `full`, and `joint_features` and `joint_scores` are `joint`,
with only one of both inputs. `small` has smaller batches, for the few frames of the
procedural corpus; `smoke` renders a tiny corpus and takes less than a minute in all.

Cost and score: an epoch of `full` on 142,000 frames of 1,290 features takes about 6 s
on two CPU cores (docs/performance.md); docs/results.md has scores.
"""

import ml_collections

from abaw_jax.configs import base, mtl

JOINT = ('joint', 'joint_features', 'joint_scores', 'joint_faithful')
VARIANTS = ('full', 'features', 'scores', *JOINT, 'small', 'smoke')
# Feature sets of the procedural corpus: embedding, and scores of its frame model.
EMBEDDING, SCORES = 'small', 'small_scores'


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for the procedural corpus."""
  base.check_variant(variant, VARIANTS)
  config = mtl.get_config()
  config.model.encoder = 'none'
  config.model.update(mtl.SHARE_ENCODER)
  config.model.hidden_dims = (128,)
  config.model.linear_heads = 'valence,arousal,expression'
  config.model.va_features = 22
  config.model.va_tanh = True
  config.model.dropout = 0.0

  config.data.features = f'{EMBEDDING},{SCORES}'
  config.data.batch_size = 512
  config.data.window = config.data.stride = 1
  config.data.in_memory = True

  config.loss.l2 = 1 / 512
  config.loss.va_loss = 'ccc'
  config.loss.weights.valence = config.loss.weights.arousal = 0.5
  config.loss.weights.expression = 1.0
  config.loss.class_weights = 'counts'
  config.loss.class_weight_mean = 'rows'
  config.loss.au_weights = 'counts'

  config.optim.lr = 1e-3
  config.optim.b1 = 0.9
  config.optim.eps = 1e-7  # as in Keras
  config.optim.clip_norm = 0.0
  config.optim.clip_by = 'all'
  config.optim.schedule = 'linear'
  config.optim.warmup_epochs = 0.0
  config.optim.hold_epochs = 20.0
  config.epochs = 20.0
  config.eval_epochs = 1.0

  if variant in JOINT:
    config.model.linear_heads = 'valence,arousal,expression,au'
    config.model.va_features = 0
    config.model.feedback = 'output'
    config.model.feed_source = 'valence,arousal'
    config.model.feed_target = 'expression,au'
    config.data.batch_size = 256
    config.loss.l2 = 1 / 256
    config.loss.task_weights = 'counts'
  if variant == 'joint_faithful':
    config.loss.class_weight_mean = 'product'
    config.loss.masked_rows = 'zeros'
  if variant.endswith('features'):
    config.data.features = EMBEDDING
    config.model.va_features = 0
  if variant.endswith('scores'):
    config.data.features = SCORES
    config.model.va_features = 0
  if variant in ('small', 'smoke'):
    config.data.batch_size = 64
  if variant == 'smoke':
    config.data.name = 'procedural/tiny'
    config.epochs = 2.0
  return config
