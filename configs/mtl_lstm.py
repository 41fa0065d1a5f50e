r"""The LSTM of AIM3-RUC: one layer whose state is carried between windows.

  abaw-jax train --config=mtl_lstm
  abaw-jax train --config=mtl_lstm --config.model.encoder=bilstm

Variants as in configs/mtl.py: `faithful` as published, `small` for two CPU cores,
`smoke` takes seconds. The second command reads both directions.

Values that the authors' script does not set are the defaults of their options
(windows of 100 frames, width 256, dropout 0.3). The loss weights are the 12:12:1:0.35
of configs/mtl.py; the authors also used 1:1:1:1. `small` and `smoke` are those of
configs/mtl.py with another encoder.

Cost and score: `small` reaches P_MTL 1.048 +- 0.016 on the procedural corpus (three
seeds). `full` trains 5,700 to 8,200 frames/s on two CPU cores; its score is not
measured. Other variants: not measured.
"""

import ml_collections

from abaw_jax.configs import mtl

VARIANTS = mtl.VARIANTS


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  config = mtl.get_config(variant)
  config.model.encoder = 'lstm'
  config.model.depth = 1
  config.model.encoder_dropout = 0.0
  config.data.batching = 'stateful_videos'
  if variant in ('full', 'faithful'):
    config.model.dim = 256
    config.model.update(mtl.SHARE_ENCODER)
    config.model.hidden_dims = (256, 256)
    config.data.window = 100
    config.data.norm = 'train'
    config.optim.schedule = 'linear'
    config.optim.warmup_epochs = 0.0
    config.optim.hold_epochs = 30.0
  return config
