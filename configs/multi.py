r"""Five datasets at once: each face trains the tasks that it has labels for.

  abaw-jax train --config=multi --config.init_from=runs/mae --workdir=runs/multi

Real data: add --config.data.dir=DATA_DIR \
    --config.data.name=s_aff_wild2,affectnet/manual_2017,raf_db,fer_plus,emotionet
One dataset: add --config.data.name=procedural/s_aff_wild2 --config.data.weights=
On two CPU cores, use the variant `small`; `smoke` takes seconds.

The model and the fine-tuning are those of configs/frame.py, with an EMA of the
weights. Half of the images are from s-Aff-Wild2. Its validation split scores the run.

Cost and score: `small` has 2,131 updates and reaches P_MTL 0.8525 on the procedural
corpus, or 1.0883 with --config.epochs=6 (one seed). Other variants: not measured.
"""

import ml_collections

from abaw_jax.configs import base, frame

VARIANTS = frame.LABELLED
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
