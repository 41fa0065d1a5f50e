r"""Pretraining by identity: a backbone that tells people apart.

Train:  abaw-jax train --config=configs/identity.py:iresnet_50 \
            --config.data.name=identities/recordio --config.data.dir=DATA_DIR
HSE:    abaw-jax train --config=configs/identity.py:efficientnet_b0 \
            --config.init_from=weights/efficientnet_b0 ...
Small:  abaw-jax train --config=configs/identity.py:small (2 CPU cores)
Smoke:  abaw-jax train --config=configs/identity.py:smoke (seconds)

The run starts a frame model with its backbone: --config.init_from=runs/identity.
Checkpoints are scored by identification where validation shows people of the
training split (build with --hold_out=images), and by verification where it does
not.

`iresnet_*` is ArcFace (Deng et al., arXiv 1801.07698) with AdamW in place of its
SGD (rate 0.1, momentum 0.9, decay 5e-4, batch 512), whose rates do not carry over.
`efficientnet_b0` is the second stage of HSE-NN on VGGFace2: softmax, SAM and Adam
at a constant rate of 1e-4, batches of 48, 10 epochs, images held out of everybody.
Its first stage is one epoch of the classes alone: --config.optim.freeze=backbone
--config.optim.lr=1e-3 --config.optim.end_lr=1e-3 --config.epochs=1.
"""

import ml_collections

from abaw_jax.configs import base

VARIANTS = ('iresnet_50', 'iresnet_100', 'efficientnet_b0', 'small', 'smoke')


def get_config(variant: str = 'iresnet_50') -> ml_collections.ConfigDict:
  """Returns the experiment; `variant` is the backbone."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  base.add_images(config)
  config.epochs = 20.0

  config.model.name = 'identity'
  config.model.backbone = variant
  config.model.image_size = 112  # pixels
  # People to tell apart; 0 = those of the training split, counted at the start.
  config.model.num_classes = 0
  # What the logit of a person is: 'cosine' of the angle between the embedding and
  # the person's vector, or 'linear', their product and a bias.
  config.model.head = 'cosine'
  config.model.dtype = 'bfloat16'
  config.model.remat = 'none'  # what to compute twice: 'none', 'dots' or 'all'

  config.loss = ml_collections.ConfigDict()
  # 'softmax', or with a margin for the right person: 'arcface' adds to the angle,
  # 'cosface' (Wang et al., arXiv 1801.09414) takes off the cosine.
  config.loss.name = 'arcface'
  config.loss.margin = 0.5  # radians, or a cosine: 0.35 to 0.4 for cosface
  config.loss.scale = 64.0  # factor of the logits; 1 for 'linear' ones
  config.loss.easy_margin = False  # no margin where the angle is above pi / 2

  config.data.batch_size = 512

  config.augment.mean = (0.5, 0.5, 0.5)  # of InsightFace's weights
  config.augment.std = (0.5, 0.5, 0.5)

  config.optim.lr = 1e-3
  config.optim.warmup_epochs = 1.0
  config.optim.weight_decay = 0.1
  # Whether batch statistics of a frozen backbone move all the same, as in
  # HSE-NN's published code.
  config.optim.move_frozen_statistics = False

  if variant == 'efficientnet_b0':
    config.model.image_size = 224
    config.model.head = 'linear'
    config.loss.name = 'softmax'
    config.loss.margin = 0.0
    config.loss.scale = 1.0
    config.data.face_size = 256
    config.data.batch_size = 48
    config.augment.mean = (0.485, 0.456, 0.406)
    config.augment.std = (0.229, 0.224, 0.225)
    config.augment.crop_scale = 0.08
    config.optim.lr = 1e-4
    config.optim.end_lr = 1e-4
    config.optim.warmup_epochs = 0.0
    config.optim.weight_decay = 0.0
    config.optim.sam_rho = 0.05
    config.epochs = 10.0
  if variant in ('small', 'smoke'):
    config.model.backbone = 'iresnet_nano'
    config.model.image_size = 64 if variant == 'small' else 32
    config.model.dtype = 'float32'
    config.loss.scale = 32.0
    config.data.batch_size = 32 if variant == 'small' else 8
    config.optim.warmup_epochs = 0.5
    config.epochs = 3.0 if variant == 'small' else 1.0
  return config
