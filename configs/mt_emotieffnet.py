r"""MT-EmotiEffNet: a face recognition network learns expressions and affect.

  abaw-jax train --config=identity:efficientnet_b0 \
      --config.init_from=weights/efficientnet_b0 --workdir=runs/identity
  abaw-jax train --config=mt_emotieffnet:b0_heads \
      --config.init_from=runs/identity --workdir=runs/heads
  abaw-jax train --config=mt_emotieffnet:b0 --config.init_from=runs/heads \
      --workdir=runs/mt_emotieffnet

EfficientNet-B2: `identity:efficientnet_b2`, then `b2_heads` and `b2` (260 pixels).
Real data: add --config.data.name=affectnet/manual_2017 --config.data.dir=DATA_DIR.
On two CPU cores, use `small_heads` and `small`; `smoke` takes seconds.

The recipe is that of the config `affectnet` (Savchenko, arXiv 2207.09508): heads
alone for 3 epochs, then all parameters for 6, with SAM and Adam. The loss is the sum
of a cross-entropy weighted by class counts and of (1 - CCC) / 2 for valence and for
arousal. The published network has one layer of 10 units; the three heads here have
the same parameters. Contempt is trained as Other; action units have no labels.

Cost and score: those of `affectnet`; b2 is not measured.
"""

import ml_collections

from abaw_jax.configs import affectnet, base

VARIANTS = (
    'b0', 'b0_heads', 'b2', 'b2_heads', 'small', 'small_heads', 'smoke',
    'smoke_heads',
)  # fmt: skip


def get_config(variant: str = 'b0') -> ml_collections.ConfigDict:
  """Returns the experiment; `<size>_heads` is the first stage of `<size>`."""
  base.check_variant(variant, VARIANTS)
  size, _, stage = variant.partition('_')
  if size in ('b0', 'b2'):
    config = affectnet.get_config(stage or 'full')
  else:
    config = affectnet.get_config(size)
  if size == 'b2':
    config.model.backbone = 'efficientnet_b2'
    config.model.image_size = 260
  if stage and size in ('small', 'smoke'):
    config.optim.freeze = 'backbone'
  if variant == 'small_heads':
    config.epochs = 3.0
  config.augment.filter = 'bilinear'
  config.augment.fit = 'squash'
  return config
