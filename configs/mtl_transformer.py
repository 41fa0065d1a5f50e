r"""The single transformer of AIM3-RUC: four shared layers and a head for each task.

Train:  abaw-jax train --config=configs/mtl_transformer.py
As run: abaw-jax train --config=configs/mtl_transformer.py:faithful
Small:  abaw-jax train --config=configs/mtl_transformer.py:small
Smoke:  abaw-jax train --config=configs/mtl_transformer.py:smoke

`small` (2 CPU cores) and `smoke` (seconds) are those of configs/mtl.py, which has
the same framework there. What their script leaves to its caller has the default of
their options: windows of 100 frames, 256 wide. Features are normalised over each
video, in `faithful` with the zeros that pad it to the longest of its batch.
"""

import ml_collections

from abaw_jax.configs import base, mtl

VARIANTS = mtl.VARIANTS


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = mtl.get_config(variant)
  if variant in ('full', 'faithful'):
    config.model.dim = 256
    config.model.depth = 4
    config.model.num_heads = 4
    config.model.mlp_dim = 1024
    config.model.framework = 'share_encoder'
    config.model.private_layers = 0
    config.model.feedback = 'none'
    config.model.encoder_dropout = 0.1
    config.model.dropout = 0.1
    config.data.window = 100
    config.data.stride = 100
    config.data.norm = 'batch' if variant == 'faithful' else 'video'
    config.optim.schedule = 'linear'
    config.optim.warmup_epochs = 0.0
    config.optim.hold_epochs = 20.0
  return config
