r"""Learning from synthetic data (LSD): six expressions, trained on generated faces.

  abaw-jax train --config=lsd:b0_heads \
      --config.init_from=runs/mt_emotieffnet --workdir=runs/lsd_heads
  abaw-jax train --config=lsd:b0 --config.init_from=runs/lsd_heads \
      --workdir=runs/lsd

`init_from` also takes a converted classifier: a new layer with six outputs replaces
its last one. Real data: add --config.data.name=lsd --config.data.dir=DATA_DIR. On two
CPU cores, use `small_heads` and `small`; `smoke` takes seconds.

The recipe of HSE-NN (arXiv 2207.09508): colour jitter and mirroring, batches of 64,
sharpness-aware Adam with constant learning rates. First the new layer alone, 3 epochs
at 1e-3; then, from its best checkpoint, all parameters, 5 epochs at 1e-4. The
cross-entropy has label smoothing and the class weights mean count / count, and is
divided by the number of rows. The macro F1 of the six classes on the real validation
faces selects the checkpoint. docs/challenge.md has the predictions without training,
the blend of both networks, and the file.

The published code has these quirks, each with a key: `faithful` and `faithful_heads`
update batch statistics in both passes of SAM and in a frozen backbone. Its last cell
trains all parameters without SAM (optim.sam_rho=0), but its notes say with SAM. A loss
divided by the weights, as for AffectNet, is loss.class_weight_mean=weights.

Cost and score: on rendered photos of other people, `small_heads` (83 updates, without
SAM) reaches a macro F1 of 0.299, `small` after it (66 updates) 0.317, and its blend with
the network before training 0.342 (docs/results.md). Other variants: not measured.
"""

import ml_collections

from abaw_jax.configs import affectnet, base

VARIANTS = (
    'b0', 'b0_heads', 'faithful', 'faithful_heads', 'small', 'small_heads',
    'smoke',
)  # fmt: skip


def get_config(variant: str = 'b0') -> ml_collections.ConfigDict:
  """Returns the experiment; `<size>_heads` is the first stage of `<size>`."""
  base.check_variant(variant, VARIANTS)
  stages = {'b0': 'full', 'b0_heads': 'heads'}
  config = affectnet.get_config(stages.get(variant, variant))
  config.model.name = 'lsd'
  del config.model.dropout
  config.data.name = 'procedural/lsd'
  for task in ('valence', 'arousal', 'au'):
    del config.loss.weights[task]
  config.loss.class_weights = 'mean_counts'
  config.loss.class_weight_mean = 'rows'
  config.loss.label_smoothing = 0.1
  config.augment.filter = 'bilinear'
  config.augment.fit = 'squash'
  config.augment.flip = True
  config.augment.jitter = (0.3, 0.3, 0.3, 0.1)
  if variant == 'small':
    config.optim.lr = config.optim.end_lr = 1e-4
  if variant != 'smoke':
    config.data.batch_size = 64
    config.epochs = 3.0 if 'heads' in variant else 5.0
  return config
