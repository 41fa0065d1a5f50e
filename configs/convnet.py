r"""The frame model with a convolutional backbone.

  abaw-jax train --config=convnet --config.init_from=weights/iresnet_50 \
      --workdir=runs/iresnet

Heads only: add --config.optim.freeze=backbone. Other sizes: add
--config.model.backbone=iresnet_100 (with another image size, also
--config.model.image_size=300). `smoke` takes seconds.

`init_from` takes a folder of weights (`abaw-jax convert`) or another run of this
config. The backbone and the image size are then those of the weights.

Cost: on two CPU cores, training processes 3.4 images/s (iresnet_50, 112 pixels),
5.0 (densenet_121), 13.7 (efficientnet_b0) or 4.7 (resnet_50, all 224 pixels).
Score: not measured.
"""

import ml_collections

from abaw_jax.configs import base

VARIANTS = (
    'iresnet_50', 'densenet_121', 'efficientnet_b0', 'resnet_50',
    'convnextv2_tiny', 'mobilevitv2_150', 'rexnet_150', 'mbf', 'ddamfn', 'smoke',
)  # fmt: skip


def get_config(variant: str = 'iresnet_50') -> ml_collections.ConfigDict:
  """Returns the experiment; `variant` is the backbone."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  base.add_frames(config, variant)
  config.model.image_size = 224
  config.optim.lr = 3e-4
  # Whether to update batch statistics of a frozen backbone, as the published code
  # of HSE-NN does.
  config.optim.move_frozen_statistics = False

  if variant in ('iresnet_50', 'mbf', 'ddamfn', 'smoke'):
    config.model.image_size = 112
  if variant in ('iresnet_50', 'mbf', 'smoke'):
    config.augment.mean = config.augment.std = (0.5, 0.5, 0.5)  # InsightFace
  if variant == 'smoke':
    config.model.backbone = 'iresnet_nano'
    config.model.image_size = 32
    config.model.dtype = 'float32'
    config.data.batch_size = 8
    config.optim.warmup_epochs = 0.5
    config.epochs = 1.0
  return config
