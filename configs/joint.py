r"""Joint training on the features of models that were first trained task by task.

  abaw-jax train --config=joint:small --workdir=runs/joint
  abaw-jax crossvalidate --config=joint:small --num_folds=5 --seeds=0,1 \
      --workdir=runs/joint_cv --config.eval_epochs=0

Each group of `joint.alone` is trained alone, as a run of configs/mtl.py in
<workdir>/alone/<group>. `extract` writes its hidden states. The joint model reads the
features and all hidden states, concatenated, and trains all tasks (docs/joint.md). In a
cross-validation, every run has groups of its own, which never see its held-out videos.

Variants as in configs/mtl.py: `small` for two CPU cores, `smoke` takes seconds.

Cost and score: not measured. A run trains four models of configs/mtl.py.
"""

import ml_collections

from abaw_jax.configs import base, mtl

VARIANTS = ('full', 'small', 'smoke')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = mtl.get_config(variant)
  config.joint = ml_collections.ConfigDict()
  # Groups of tasks that are trained alone first, with their last weights as result.
  # Tasks of one group are joined by `+`; '' = no group, so all tasks at once.
  config.joint.alone = 'valence+arousal,expression,au'
  # Whether the joint model also reads `data.features`, or only hidden states.
  config.joint.keep_features = True
  return config
