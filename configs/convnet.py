r"""The static model on a convolutional backbone, trained on single frames.

Train:  abaw-jax train --config=configs/convnet.py:iresnet_50 \
            --config.init_from=weights/iresnet_50 --workdir=runs/iresnet
Heads:  add --config.optim.freeze=backbone
Smoke:  abaw-jax train --config=configs/convnet.py:smoke (seconds)

`init_from` takes a folder of weights (`abaw-jax convert`) or another
run of this config. Other sizes: --config.model.backbone=iresnet_100.
"""

import ml_collections

from abaw_jax.configs import base

VARIANTS = (
    'iresnet_50', 'densenet_121', 'efficientnet_b0', 'resnet_50', 'smoke'
)  # fmt: skip


def get_config(variant: str = 'iresnet_50') -> ml_collections.ConfigDict:
  """Returns the experiment; `variant` is the backbone."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  base.add_frames(config)
  config.epochs = 20.0

  config.model.name = 'frame'
  config.model.backbone = variant
  config.model.image_size = 224  # pixels
  config.model.dropout = 0.0  # on the embedding
  config.model.dtype = 'bfloat16'
  config.model.remat = 'none'  # what to compute twice: 'none', 'dots' or 'all'

  config.data.batch_size = 256
  config.augment.crop_scale = 0.8

  config.optim.lr = 3e-4
  config.optim.scale_lr = True
  config.optim.warmup_epochs = 2.0
  # Whether batch statistics of a frozen backbone move all the same, as in
  # HSE-NN's published code.
  config.optim.move_frozen_statistics = False

  if variant in ('iresnet_50', 'smoke'):
    config.model.image_size = 112
    config.augment.mean = (0.5, 0.5, 0.5)  # of InsightFace's weights
    config.augment.std = (0.5, 0.5, 0.5)
  if variant == 'smoke':
    config.model.backbone = 'iresnet_nano'
    config.model.image_size = 32
    config.model.dtype = 'float32'
    config.data.batch_size = 8
    config.optim.warmup_epochs = 0.5
    config.epochs = 1.0
  return config
