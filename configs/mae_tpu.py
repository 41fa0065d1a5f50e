r"""The MAE of configs/mae.py on TPU slices, with the paper's 224 pixels.

  abaw-jax compile --config=mae_tpu:vit_l_v5e_256 --topology=v5e:16x16
  abaw-jax train --config=mae_tpu:vit_l_v5e_256 \
      --config.data.name=... --config.data.dir=... --workdir=runs/mae

A variant names the encoder, the TPU generation and the number of chips, in one or
several slices: <vit_b|vit_l|vit_h>_<v4|v5e|v5p|v6e|v7x>_<8 to 256>. All variants
have 4,096 images per update, as in He et al. (arXiv 2111.06377), in microbatches of 64
(vit_b), 32 (vit_l) or 16 (vit_h) images per device, and share weights and moments
between up to 16 devices (ZeRO). These must be in one slice: with two slices of 8
chips, add --config.mesh.zero=8. Blocks are unrolled, because a scan over blocks moves
more bytes through HBM.

Cost: estimated from compiled programs, see docs/scale.md; not measured. Score: not
measured.
"""

import ml_collections

from abaw_jax.configs import base, mae

BATCH_SIZE = 4096
CHIPS = (8, 16, 32, 64, 128, 256)
PATCH_SIZES = {'vit_b': 16, 'vit_l': 16, 'vit_h': 14}
# Images that a device differentiates at once. Few images move fewest bytes through HBM:
# XLA keeps their activations in vector memory from layer to layer.
AT_ONCE = {'vit_b': 64, 'vit_l': 32, 'vit_h': 16}
DEVICES_PER_CHIP = {'v4': 1, 'v5e': 1, 'v5p': 1, 'v6e': 1, 'v7x': 2}
# Devices that share weights and moments. More would split 768 and 1,280 rows into
# parts that are not full tiles.
ZERO = 16

VARIANTS = tuple(
    f'{size}_{generation}_{chips}'
    for size in PATCH_SIZES
    for generation in DEVICES_PER_CHIP
    for chips in CHIPS
)


def get_config(variant: str = VARIANTS[0]) -> ml_collections.ConfigDict:
  """Returns the experiment; `variant` is encoder, generation and chips."""
  base.check_variant(variant, VARIANTS)
  size, generation, chips = variant.rsplit('_', 2)
  config = mae.get_config(size)
  config.model.image_size = 224
  config.model.patch_size = PATCH_SIZES[size]
  config.model.remat = 'dots'
  config.data.batch_size = BATCH_SIZE
  devices = int(chips) * DEVICES_PER_CHIP[generation]
  rows = BATCH_SIZE // devices
  config.optim.microbatches = max(1, rows // AT_ONCE[size])
  config.mesh.zero = min(ZERO, devices)
  return config
