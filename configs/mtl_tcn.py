r"""A temporal convolutional network (Bai et al., arXiv 1803.01271).

  abaw-jax train --config=mtl_tcn
  abaw-jax train --config=mtl_tcn --config.model.causal=True \
      --config.data.batching=stateful_videos --config.data.norm=train

Four residual blocks of dilated convolutions over 3 frames: a hidden state depends on 61
frames, half of them later ones. With the second command it depends on its own frame and
60 earlier ones, also of the window before, so it suits a live stream.
Variants as in configs/mtl.py: `small` for two CPU cores, `smoke` takes seconds. All
values except the encoder are those of configs/mtl_transformer.py.

Cost and score: not measured.
"""

import ml_collections

from abaw_jax.configs import base, mtl_transformer

VARIANTS = ('full', 'small', 'smoke')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = mtl_transformer.get_config(variant)
  config.model.encoder = 'tcn'
  config.model.depth = 4
  config.model.encoder_dropout = 0.1
  return config
