r"""The FFT encoder of AIM3-RUC: relative attention and convolutions over time.

Train:  abaw-jax train --config=configs/mtl_fft.py
As run: abaw-jax train --config=configs/mtl_fft.py:faithful
Small:  abaw-jax train --config=configs/mtl_fft.py:small   (2 CPU cores)
Smoke:  abaw-jax train --config=configs/mtl_fft.py:smoke   (seconds)

configs/mtl_transformer.py with another encoder; padded frames are never read.
"""

import ml_collections

from abaw_jax.configs import base, mtl_transformer

VARIANTS = mtl_transformer.VARIANTS


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = mtl_transformer.get_config(variant)
  config.model.encoder = 'fft'
  config.model.encoder_dropout = 0.1
  return config
