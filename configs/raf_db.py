r"""RAF-DB: seven basic expressions, each drawn equally often.

Train:  python -m abaw_jax.train --config=configs/raf_db.py \
            --config.init_from=runs/mae --workdir=runs/raf_db
Real:   add --config.data.name=raf_db --config.data.dir=DATA_DIR
Small:  python -m abaw_jax.train --config=configs/raf_db.py:small (2 CPU cores)
Smoke:  python -m abaw_jax.train --config=configs/raf_db.py:smoke (seconds)

The model and the fine-tuning of configs/frame.py, with label smoothing. The field
reports `accuracy`. EXPR, the mean of eight F1, is at most 7/8 here: RAF-DB has no
Other.
"""

import ml_collections

from abaw_jax.configs import base, frame

VARIANTS = ('full', 'small', 'smoke')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` shrink the same model."""
  base.check_variant(variant, VARIANTS)
  config = frame.get_config('vit_b' if variant == 'full' else variant)
  config.data.name = 'procedural/raf_db'
  config.data.balance = 'expression'
  config.loss.weights.expression = 1.0
  config.loss.label_smoothing = 0.1
  if variant == 'small':
    config.optim.lr = 4e-3
    config.epochs = 10.0
    config.optim.warmup_epochs = 1.0
  return config
