r"""The FFT encoder of AIM3-RUC: relative attention and convolutions over time.

  abaw-jax train --config=mtl_fft

Variants as in configs/mtl.py: `faithful` as published, `small` for two CPU cores,
`smoke` takes seconds. This is configs/mtl_transformer.py with another encoder. Padded
frames are never read.

Cost and score: `small` reaches P_MTL 1.137 +- 0.031 on the procedural corpus (three
seeds); its cost and other variants are not measured.
"""

import ml_collections

from abaw_jax.configs import mtl_transformer

VARIANTS = mtl_transformer.VARIANTS


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  config = mtl_transformer.get_config(variant)
  config.model.encoder = 'fft'
  config.model.encoder_dropout = 0.1
  return config
