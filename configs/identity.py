r"""Pretraining by identity: a backbone that recognises people.

  abaw-jax train --config=identity:iresnet_50 \
      --config.data.name=identities/recordio --config.data.dir=DATA_DIR
  abaw-jax train --config=identity:efficientnet_b0 \
      --config.init_from=weights/efficientnet_b0 ...

On two CPU cores, use the variant `small`; `smoke` takes seconds. A frame model
starts from the backbone of this run with --config.init_from=runs/identity.

The score is identification if validation shows people of the training split (build
with --hold_out=images), else verification.

`iresnet_*` is ArcFace (Deng et al., arXiv 1801.07698) with AdamW in place of SGD
(rate 0.1, momentum 0.9, decay 5e-4, batch 512); its learning rates do not apply to
AdamW. `efficientnet_b0` (and `efficientnet_b2`, 260 pixels) is the second stage of HSE-NN on VGGFace2: softmax, SAM and
Adam at a constant rate of 1e-4, batches of 48, 10 epochs, held-out images of all
people. The first stage trains the class weights alone for one epoch:
--config.optim.freeze=backbone --config.optim.lr=1e-3 --config.optim.end_lr=1e-3
--config.epochs=1.

Cost and score: `small` has 107 updates and reaches a verification AUC of 0.9985 on
26 rendered people that are not in the training split (one seed). Other variants: not
measured.
"""

import ml_collections

from abaw_jax.configs import base

VARIANTS = (
    'iresnet_50', 'iresnet_100', 'efficientnet_b0', 'efficientnet_b2', 'small',
    'smoke',
)  # fmt: skip


def get_config(variant: str = 'iresnet_50') -> ml_collections.ConfigDict:
  """Returns the experiment; `variant` is the backbone."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  base.add_images(config, variant)
  config.epochs = 20.0

  config.model.name = 'identity'
  # Number of people; 0 = all people of the training split, counted at the start.
  config.model.num_classes = 0
  # Logit of a person: 'cosine' of the angle between the embedding and the class
  # weights, or 'linear', their dot product plus a bias.
  config.model.head = 'cosine'

  config.loss = ml_collections.ConfigDict()
  # 'softmax', or with a margin for the true person: 'arcface' adds it to the
  # angle, 'cosface' (Wang et al., arXiv 1801.09414) subtracts it from the cosine.
  config.loss.name = 'arcface'
  config.loss.margin = 0.5  # radians (arcface) or cosine (cosface: 0.35 to 0.4)
  config.loss.scale = 64.0  # factor of the logits; use 1 for a 'linear' head
  config.loss.easy_margin = False  # whether angles above pi / 2 get no margin

  config.data.batch_size = 512

  config.optim.lr = 1e-3
  config.optim.warmup_epochs = 1.0
  config.optim.weight_decay = 0.1
  # Whether to update batch statistics of a frozen backbone, as the published code
  # of HSE-NN does.
  config.optim.move_frozen_statistics = False

  if variant in ('efficientnet_b0', 'efficientnet_b2'):
    config.model.image_size = 224 if variant == 'efficientnet_b0' else 260
    config.model.head = 'linear'
    config.loss.name = 'softmax'
    config.loss.margin = 0.0
    config.loss.scale = 1.0
    config.data.face_size = config.model.image_size * 8 // 7
    config.data.batch_size = 48
    config.augment.crop_scale = 0.08
    config.optim.lr = config.optim.end_lr = 1e-4
    config.optim.warmup_epochs = 0.0
    config.optim.weight_decay = 0.0
    config.optim.sam_rho = 0.05
    config.epochs = 10.0
  else:
    config.augment.mean = config.augment.std = (0.5, 0.5, 0.5)  # InsightFace
  if variant in ('small', 'smoke'):
    config.model.backbone = 'iresnet_nano'
    config.model.image_size = 64 if variant == 'small' else 32
    config.model.dtype = 'float32'
    config.loss.scale = 32.0
    config.data.batch_size = 32 if variant == 'small' else 8
    config.optim.warmup_epochs = 0.5
    config.epochs = 3.0 if variant == 'small' else 1.0
  return config
