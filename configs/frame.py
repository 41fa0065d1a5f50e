r"""The static model: a backbone with linear heads, trained on single frames.

Train:  abaw-jax train --config=configs/frame.py \
            --config.init_from=runs/mae --workdir=runs/frame
Small:  abaw-jax train --config=configs/frame.py:small (2 CPU cores)
Probe:  abaw-jax train --config=configs/frame.py:probe \
            --config.init_from=runs/mae-small    linear heads on frozen features
Smoke:  abaw-jax train --config=configs/frame.py:smoke (seconds)

`init_from` takes the workdir of a MAE run with the same backbone. The recipe is
the fine-tuning of He et al. (arXiv 2111.06377): layer-wise learning rate decay,
stochastic depth, mean pooling.
"""

import ml_collections

from abaw_jax.configs import base

VARIANTS = ('vit_b', 'vit_s', 'vit_l', 'vit_h', 'small', 'probe', 'smoke')


def get_config(variant: str = 'vit_b') -> ml_collections.ConfigDict:
  """Returns the experiment; `variant` is the size of the backbone."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  base.add_frames(config)
  config.epochs = 20.0

  config.model.name = 'frame'
  config.model.backbone = variant
  config.model.image_size = 112  # pixels
  config.model.patch_size = 8  # pixels
  config.model.positions = 'sincos'  # fixed; or 'learned', a parameter
  # 'mean' of the normalised patch tokens, 'mean_norm' normalises their mean,
  # 'cls' takes the cls token.
  config.model.pool = 'mean'
  config.model.drop_path = 0.1
  config.model.dropout = 0.0  # on the embedding
  config.model.dtype = 'bfloat16'
  config.model.remat = 'none'  # what to compute twice: 'none', 'dots' or 'all'
  config.model.scan = False  # compile one block for all of them

  config.data.batch_size = 256
  config.augment.crop_scale = 0.8

  config.optim.lr = 5e-4
  config.optim.scale_lr = True
  config.optim.warmup_epochs = 2.0
  config.optim.layer_decay = 0.75

  if variant in ('small', 'probe', 'smoke'):
    config.model.backbone = 'vit_nano' if variant == 'smoke' else 'vit_micro'
    config.model.image_size = 64
    config.model.patch_size = 16
    config.model.drop_path = 0.0
    config.model.dtype = 'float32'
    config.augment.crop_scale = 1.0
    # Twelve action units share one mean: they carry the fine detail.
    config.loss.weights.expression = 0.5
    config.loss.weights.au = 5.0
    config.data.batch_size = 32
    config.optim.lr = 8e-3
    config.optim.layer_decay = 1.0
    config.optim.warmup_epochs = 0.5
    config.epochs = 5.0
  if variant == 'probe':
    config.optim.freeze = 'backbone'
    config.optim.lr = 0.1
    config.optim.weight_decay = 0.0
    config.data.batch_size = 256
    config.epochs = 10.0
  if variant == 'smoke':
    config.model.drop_path = 0.1
    config.augment.crop_scale = 0.8
    config.optim.layer_decay = 0.75
    config.data.batch_size = 8
    config.epochs = 1.0
  return config
