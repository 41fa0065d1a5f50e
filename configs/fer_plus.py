r"""FER+: eight expressions of small grey faces, from the votes of ten people.

Train:  abaw-jax train --config=configs/fer_plus.py \
            --config.init_from=runs/mae --workdir=runs/fer_plus
Real:   add --config.data.name=fer_plus --config.data.dir=DATA_DIR
Small:  abaw-jax train --config=configs/fer_plus.py:small (2 CPU cores)
Smoke:  abaw-jax train --config=configs/fer_plus.py:smoke (seconds)

The model and the fine-tuning of configs/frame.py. Modes of Barsoum et al. (arXiv
1608.01041): --config.data.expression_targets=majority, probability or
crossentropy. Scores are against the majority in each of them; where the voters
have none, a face is trained on but not scored.
"""

import ml_collections

from abaw_jax.configs import base, frame

VARIANTS = ('full', 'small', 'smoke')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` shrink the same model."""
  base.check_variant(variant, VARIANTS)
  config = frame.get_config('vit_b' if variant == 'full' else variant)
  config.data.name = 'procedural/fer_plus'
  config.data.expression_targets = 'crossentropy'
  config.loss.weights.expression = 1.0
  if variant == 'small':
    config.optim.lr = 4e-3
    config.epochs = 10.0
    config.optim.warmup_epochs = 1.0
  return config
