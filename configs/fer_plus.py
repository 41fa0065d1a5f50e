r"""FER+: eight expressions of small grey faces, with the votes of ten annotators.

  abaw-jax train --config=fer_plus --config.init_from=runs/mae \
      --workdir=runs/fer_plus

Real data: add --config.data.name=fer_plus --config.data.dir=DATA_DIR. On two CPU
cores, use the variant `small`; `smoke` takes seconds.

The model and the fine-tuning are those of configs/frame.py. Targets as in Barsoum
et al. (arXiv 1608.01041): --config.data.expression_targets=majority, probability or
crossentropy. Scores always compare with the majority of the votes. A face without a
majority is used in training but not in scores.

Cost and score: `small` has 746 updates and reaches a macro F1 of 0.142 on rendered
validation faces (one seed). Other variants: not measured.
"""

import ml_collections

from abaw_jax.configs import frame

VARIANTS = frame.LABELLED


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` shrink the same model."""
  config = frame.labelled('fer_plus', variant)
  config.data.expression_targets = 'crossentropy'
  config.loss.weights.expression = 1.0
  return config
