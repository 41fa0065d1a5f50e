r"""The GRU of AIM3-RUC: two layers whose state goes from window to window.

Train:  python -m abaw_jax.train --config=configs/mtl_gru.py
As run: python -m abaw_jax.train --config=configs/mtl_gru.py:faithful
Small:  python -m abaw_jax.train --config=configs/mtl_gru.py:small  (2 CPU cores)
Smoke:  python -m abaw_jax.train --config=configs/mtl_gru.py:smoke  (seconds)

All else is as in configs/mtl_lstm.py, but for the heads. It reads no later frame
and keeps its state: this is the model for a live stream.
"""

import ml_collections

from abaw_jax.configs import base, mtl_lstm

VARIANTS = mtl_lstm.VARIANTS


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = mtl_lstm.get_config(variant)
  config.model.encoder = 'gru'
  config.model.depth = 2
  config.model.encoder_dropout = 0.3
  if variant in ('full', 'faithful'):
    config.model.head_dims = (512, 256)
  return config
