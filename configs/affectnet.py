r"""MT-EmotiEffNet: expressions, valence and arousal of AffectNet, with SAM.

  abaw-jax train --config=affectnet:heads \
      --config.init_from=weights/efficientnet_b0 --workdir=runs/heads
  abaw-jax train --config=affectnet --config.init_from=runs/heads \
      --workdir=runs/affectnet

Real data: add --config.data.name=affectnet/manual_2017 --config.data.dir=DATA_DIR.
On two CPU cores, use the variants `small_heads` and `small` (no weights needed);
`smoke` takes seconds.

The recipe of Savchenko (arXiv 2207.09508): an EfficientNet-B0 that was pretrained
on faces, 224 x 224 pixels, no augmentation, batches of 48, sharpness-aware Adam
with constant learning rates. First the heads alone, 3 epochs at 1e-3; then, from
their best checkpoint, all parameters, 6 epochs at 1e-4. The losses are a
cross-entropy weighted by class counts, and (1 - CCC) / 2.

`faithful` and `faithful_heads` also update batch statistics as the published code
does: in both passes of SAM, and in a frozen backbone. We select checkpoints by
`score`, the published code by accuracy.

Cost and score: `small` has 285 updates and reaches EXPR 0.2527 and VA 0.2719 on
rendered validation faces (one seed). Other variants: not measured.
"""

import ml_collections

from abaw_jax.configs import base, convnet

VARIANTS = (
    'full', 'heads', 'faithful', 'faithful_heads', 'small', 'small_heads',
    'smoke',
)  # fmt: skip


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `heads` freezes the backbone."""
  base.check_variant(variant, VARIANTS)
  config = convnet.get_config('efficientnet_b0')
  config.data.name = 'procedural/affectnet'
  config.epochs = 6.0
  config.model.dtype = 'float32'

  config.loss.va_loss = 'half_ccc'
  config.loss.class_weights = 'counts'

  config.data.batch_size = 48
  config.augment.crop_scale = 1.0
  config.augment.flip = False

  config.optim.lr = config.optim.end_lr = 1e-4
  config.optim.scale_lr = False
  config.optim.warmup_epochs = 0.0
  config.optim.weight_decay = 0.0
  config.optim.sam_rho = 0.05

  if variant in ('small', 'small_heads', 'smoke'):
    config.model.backbone = 'iresnet_nano'
    config.model.image_size = 32
    config.optim.lr = config.optim.end_lr = 1e-3
  if 'heads' in variant:
    config.optim.freeze = 'backbone'
    config.optim.lr = config.optim.end_lr = 1e-3
    config.epochs = 3.0
  if 'faithful' in variant:
    config.optim.sam_faithful = True
    config.optim.move_frozen_statistics = True
  if variant == 'smoke':
    config.data.batch_size = 8
    config.epochs = 0.04
  return config
