r"""The frame model: a ViT with linear heads, trained on single frames.

  abaw-jax train --config=frame --config.init_from=runs/mae --workdir=runs/frame
  abaw-jax train --config=frame:probe --config.init_from=runs/mae-small

`probe` trains linear heads on a frozen backbone. On two CPU cores, use the variant
`small`; `smoke` takes seconds. `init_from` takes the workdir of a MAE run with the
same backbone.

The recipe is the fine-tuning of He et al. (arXiv 2111.06377): layer-wise learning
rate decay, stochastic depth, mean pooling.

Cost and score: `small` is a stage of `make demo` (about five minutes in all) and
reaches P_MTL 0.94 to 0.98 on the procedural corpus. `vit_b` trains 1.6 images/s on
two CPU cores (at 224 pixels, the same number of tokens); its score is not measured.
Other variants: not measured; docs/results.md has scores of a changed `probe`.
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
  config.model.positions = 'sincos'  # 'sincos' (fixed) or 'learned'
  # 'mean' of the layer-normalised patch tokens, 'mean_norm' (the layer norm of
  # their mean), or 'cls' (the class token).
  config.model.pool = 'mean'
  config.model.drop_path = 0.1
  config.model.dropout = 0.0  # on the embedding
  config.model.dtype = 'bfloat16'
  config.model.remat = (
      'none'  # recompute in the backward pass: 'none', 'dots', 'all'
  )
  config.model.scan = False  # compile one block and loop over it

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
    # The AU loss is a mean over twelve units, so it needs a larger weight.
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
