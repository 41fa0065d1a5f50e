r"""EmotioNet: action units, where each face has labels for some of them.

  abaw-jax train --config=emotionet --config.init_from=runs/mae \
      --workdir=runs/emotionet

Real data: add --config.data.name=emotionet --config.data.dir=DATA_DIR. On two CPU
cores, use the variant `small`; `smoke` takes seconds.

The model and the fine-tuning are those of configs/frame.py. Loss weights balance
present and absent units by their counts. Seven of the twelve units of the challenge
have labels; AU is the mean over these seven.

Cost and score: `small` has 1,026 updates and reaches AU 0.7814 on rendered
validation images (one seed; they can show people of the training split). Other
variants: not measured.
"""

import ml_collections

from abaw_jax.configs import frame

VARIANTS = frame.LABELLED


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` shrink the same model."""
  config = frame.labelled('emotionet', variant)
  config.loss.au_weights = 'counts'
  return config
