r"""The frame model: a ViT with linear heads, trained on single frames.

  abaw-jax train --config=frame --config.init_from=runs/mae --workdir=runs/frame
  abaw-jax train --config=frame:probe --config.init_from=runs/mae-small

`probe` trains linear heads on a frozen backbone. On two CPU cores, use the variant
`small`; `smoke` takes seconds. `init_from` takes a run, such as a MAE, or a folder of
weights (`abaw-jax convert`). The network is then that of the weights.

The recipe is the fine-tuning of He et al. (arXiv 2111.06377): layer-wise learning
rate decay, stochastic depth, mean pooling.

Cost and score: `small` is a stage of `make demo` (about five minutes in all) and
reaches P_MTL 0.94 to 0.98 on the procedural corpus. `vit_b` trains 1.6 images/s on
two CPU cores (at 224 pixels, the same number of tokens); its score is not measured.
Other variants: not measured; docs/results.md has scores of a changed `probe`.
"""

import ml_collections

from abaw_jax.configs import base

# Variants of the experiments on one labelled dataset.
LABELLED = ('full', 'small', 'smoke')
VARIANTS = ('vit_b', 'vit_s', 'vit_l', 'vit_h', 'small', 'probe', 'smoke')


def get_config(variant: str = 'vit_b') -> ml_collections.ConfigDict:
  """Returns the experiment; `variant` is the size of the backbone."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  base.add_frames(config, variant)
  base.add_vit(config)
  # 'mean' of the layer-normalised patch tokens, 'mean_norm' (the layer norm of
  # their mean), or 'cls' (the class token).
  config.model.pool = 'mean'
  config.model.drop_path = 0.1

  config.optim.lr = 5e-4
  config.optim.layer_decay = 0.75

  if variant in ('small', 'probe', 'smoke'):
    config.model.backbone = 'vit_nano' if variant == 'smoke' else 'vit_micro'
    config.model.image_size = 64
    config.model.patch_size = 16
    config.model.dtype = 'float32'
    # The AU loss is a mean over twelve units, so it needs a larger weight.
    config.loss.weights.expression = 0.5
    config.loss.weights.au = 5.0
    config.data.batch_size = 32
    config.optim.lr = 8e-3
    config.optim.warmup_epochs = 0.5
    config.epochs = 5.0
  if variant in ('small', 'probe'):
    config.model.drop_path = 0.0
    config.augment.crop_scale = 1.0
    config.optim.layer_decay = 1.0
  if variant == 'probe':
    config.optim.freeze = 'backbone'
    config.optim.lr = 0.1
    config.optim.weight_decay = 0.0
    config.data.batch_size = 256
    config.epochs = 10.0
  if variant == 'smoke':
    config.data.batch_size = 8
    config.epochs = 1.0
  return config


def labelled(dataset: str, variant: str) -> ml_collections.ConfigDict:
  """Returns the experiment on one dataset; `small` and `smoke` shrink the model."""
  base.check_variant(variant, LABELLED)
  config = get_config('vit_b' if variant == 'full' else variant)
  config.data.name = f'procedural/{dataset}'
  if variant == 'small':
    config.optim.lr = 4e-3
    config.epochs = 10.0
    config.optim.warmup_epochs = 1.0
  return config
