r"""The LSTM of AIM3-RUC: one layer whose state goes from window to window.

Train:  python -m abaw_jax.train --config=configs/mtl_lstm.py
As run: python -m abaw_jax.train --config=configs/mtl_lstm.py:faithful
Both:   --config.model.encoder=bilstm   directions, heads read both
Small:  python -m abaw_jax.train --config=configs/mtl_lstm.py:small  (2 CPU cores)
Smoke:  python -m abaw_jax.train --config=configs/mtl_lstm.py:smoke  (seconds)

What their script leaves to its caller has the default of their options (windows
of 100 frames, 256 wide, dropout 0.3), and the weights of the losses are the
12:12:1:0.35 of configs/mtl.py, where 1:1:1:1 was the other choice. `small` and
`smoke` are those of configs/mtl.py with another encoder.
"""

import ml_collections

from abaw_jax.configs import base, mtl

VARIANTS = mtl.VARIANTS


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = mtl.get_config(variant)
  config.model.encoder = 'lstm'
  config.model.depth = 1
  config.model.encoder_dropout = 0.0
  config.data.batching = 'videos'
  if variant in ('full', 'faithful'):
    config.model.dim = 256
    config.model.framework = 'share_encoder'
    config.model.private_layers = 0
    config.model.feedback = 'none'
    config.model.head_dims = (256, 256)
    config.data.window = 100
    config.data.norm = 'train'
    config.optim.schedule = 'linear'
    config.optim.warmup_epochs = 0.0
    config.optim.hold_epochs = 30.0
  return config
