r"""The plain transformer of AIM3-RUC: four shared layers, one head for each task.

  abaw-jax train --config=mtl_transformer

Variants as in configs/mtl.py: `faithful` as published; `small` (two CPU cores) and
`smoke` (seconds) are those of configs/mtl.py, which have the same framework.

Values that the authors' script does not set are the defaults of their options:
windows of 100 frames, width 256. Features are normalised over each video. In
`faithful`, the statistics include the zeros that pad each video to the longest of
its batch.

Cost and score: `small` is `mtl:small`. Other variants: not measured.
"""

import ml_collections

from abaw_jax.configs import mtl

VARIANTS = mtl.VARIANTS


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  config = mtl.get_config(variant)
  if variant in ('full', 'faithful'):
    config.model.dim = 256
    config.model.depth = 4
    config.model.num_heads = 4
    config.model.mlp_dim = 1024
    config.model.update(mtl.SHARE_ENCODER)
    config.model.encoder_dropout = 0.1
    config.model.dropout = 0.1
    config.data.window = config.data.stride = 100
    config.data.norm = 'batch' if variant == 'faithful' else 'video'
    config.optim.schedule = 'linear'
    config.optim.warmup_epochs = 0.0
    config.optim.hold_epochs = 20.0
  return config
