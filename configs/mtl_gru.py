r"""The GRU of AIM3-RUC: two layers whose state is carried between windows.

  abaw-jax train --config=mtl_gru

Variants as in configs/mtl.py: `faithful` as published, `small` for two CPU cores,
`smoke` takes seconds. All values except the heads are as in configs/mtl_lstm.py. The
model reads no later frame and keeps its hidden state, so it suits a live stream.

Cost and score: `small` reaches P_MTL 1.088 +- 0.020 on the procedural corpus (three
seeds). `full` trains 4,300 to 6,600 frames/s on two CPU cores; its score is not
measured. Other variants: not measured.
"""

import ml_collections

from abaw_jax.configs import mtl_lstm

VARIANTS = mtl_lstm.VARIANTS


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  config = mtl_lstm.get_config(variant)
  config.model.encoder = 'gru'
  config.model.depth = 2
  config.model.encoder_dropout = 0.3
  if variant in ('full', 'faithful'):
    config.model.hidden_dims = (512, 256)
  return config
