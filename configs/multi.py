r"""Five datasets at once: each face trains what it has labels for.

Train:  abaw-jax train --config=configs/multi.py \
            --config.init_from=runs/mae --workdir=runs/multi
Real:   add --config.data.dir=DATA_DIR --config.data.name=\
            s_aff_wild2,affectnet/manual_2017,raf_db,fer_plus,emotionet
Small:  abaw-jax train --config=configs/multi.py:small (2 CPU cores)
Single: the same with --config.data.name=procedural/s_aff_wild2 \
            --config.data.weights=
Smoke:  abaw-jax train --config=configs/multi.py:smoke (seconds)

The model and the fine-tuning of configs/frame.py; the weights are averaged. Half
of the images are s-Aff-Wild2's, on whose validation split the run is scored.
"""

import ml_collections

from abaw_jax.configs import base, frame

VARIANTS = ('full', 'small', 'smoke')
DATASETS = ('s_aff_wild2', 'affectnet', 'raf_db', 'fer_plus', 'emotionet')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` shrink the same model."""
  base.check_variant(variant, VARIANTS)
  config = frame.get_config('vit_b' if variant == 'full' else variant)
  config.data.name = ','.join(f'procedural/{name}' for name in DATASETS)
  config.data.weights = '8,4,1,2,1'
  config.data.validation = 's_aff_wild2'
  config.optim.ema = 0.9998
  if variant == 'small':
    config.optim.ema = 0.998
    config.epochs = 3.0
  if variant == 'smoke':
    config.optim.ema = 0.9
  return config
