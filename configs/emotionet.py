r"""EmotioNet: action units, of which each face has some labelled.

Train:  abaw-jax train --config=configs/emotionet.py \
            --config.init_from=runs/mae --workdir=runs/emotionet
Real:   add --config.data.name=emotionet --config.data.dir=DATA_DIR
Small:  abaw-jax train --config=configs/emotionet.py:small (2 CPU cores)
Smoke:  abaw-jax train --config=configs/emotionet.py:smoke (seconds)

The model and the fine-tuning of configs/frame.py. Present and absent units weigh
the same, whatever their counts. Seven of the twelve units of the challenge have
labels; AU is the mean over those.
"""

import ml_collections

from abaw_jax.configs import base, frame

VARIANTS = ('full', 'small', 'smoke')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` shrink the same model."""
  base.check_variant(variant, VARIANTS)
  config = frame.get_config('vit_b' if variant == 'full' else variant)
  config.data.name = 'procedural/emotionet'
  config.loss.au_weights = 'counts'
  if variant == 'small':
    config.optim.lr = 4e-3
    config.epochs = 10.0
    config.optim.warmup_epochs = 1.0
  return config
