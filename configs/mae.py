r"""Masked autoencoder pretraining of a ViT on face images.

  abaw-jax train --config=mae:vit_b --workdir=runs/mae

On two CPU cores, use the variant `small`; `smoke` takes seconds. On one GPU, add
--config.data.batch_size=512; the learning rate scales with it.

The recipe of He et al. (arXiv 2111.06377) at 112 pixels: patches of 8 pixels
give 196 tokens, as patches of 16 do at 224 pixels.

Cost: `small` takes about three minutes on two CPU cores, as a part of `make demo`.
`vit_s` trains 3.6 images/s and `vit_b` 2.6 images/s on two CPU cores. Score: the
variants are not measured; docs/results.md has the loss of a longer small run.
"""

import ml_collections

from abaw_jax.configs import base

VARIANTS = ('vit_b', 'vit_s', 'vit_l', 'vit_h', 'small', 'smoke')


def get_config(variant: str = 'vit_b') -> ml_collections.ConfigDict:
  """Returns the experiment; `variant` is the size of the encoder."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  base.add_images(config, variant)
  base.add_vit(config)
  base.add_mixture(config)
  config.epochs = 800.0
  config.eval_epochs = 20.0
  config.plot_steps = 5000

  config.model.name = 'mae'
  config.model.decoder_dim = 512
  config.model.decoder_depth = 8
  config.model.decoder_num_heads = 16
  config.model.mask_ratio = 0.75
  config.model.norm_pix = True  # reconstruct standardised patches

  config.data.batch_size = 4096
  config.augment.crop_scale = 0.2

  config.optim.lr = 1.5e-4
  config.optim.scale_lr = True
  config.optim.warmup_epochs = 40.0
  config.optim.b2 = 0.95

  if variant in ('small', 'smoke'):
    # A small network learns fast from few tokens and aligned faces without crops.
    config.model.backbone = 'vit_micro' if variant == 'small' else 'vit_nano'
    config.model.image_size = 64
    config.model.patch_size = 16
    config.model.dtype = 'float32'
    config.model.decoder_dim = 64
    config.model.decoder_depth = 2
    config.model.decoder_num_heads = 2
    config.augment.crop_scale = 1.0
    config.data.batch_size = 64
    config.optim.lr = 4e-3
    config.optim.warmup_epochs = 0.5
    config.epochs = 4.0
    config.eval_epochs = 2.0
    config.plot_steps = 500
  if variant == 'smoke':
    config.data.batch_size = 8
    config.augment.crop_scale = 0.5
    config.epochs = 1.0
    config.eval_epochs = 0.0
    config.plot_steps = 4
  return config
