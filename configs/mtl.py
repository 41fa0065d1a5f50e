r"""Temporal multi-task model on cached frame features: valence to action units.

Train:  python -m abaw_jax.train --config=configs/mtl.py
Small:  python -m abaw_jax.train --config=configs/mtl.py:small   (2 CPU cores)
Smoke:  python -m abaw_jax.train --config=configs/mtl.py:smoke   (seconds)
Real:   python -m abaw_jax.train --config=configs/mtl.py \
            --config.data.name=s_aff_wild2 --config.data.dir=DATA_DIR \
            --config.data.features=FEATURES

The transformer of AIM3-RUC (arXiv 2207.09373) with the Share Encoder framework:
4 post-norm layers, 1024 wide, windows of 64 frames, 8 windows per update,
losses weighted V:A:AU:EXPR = 12:12:1:0.35, heads of 512 and 256.
"""

import ml_collections

from configs import base

VARIANTS = ('full', 'small', 'smoke')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` shrink the same model."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  base.add_multi_task_loss(config)
  config.epochs = 50.0
  config.log_steps = 10

  config.model.name = 'temporal'
  config.model.encoder = 'transformer'
  config.model.framework = 'share_encoder'
  config.model.dim = 1024
  config.model.depth = 4
  config.model.num_heads = 16
  config.model.mlp_dim = 2048
  config.model.head_dims = (512, 256)  # hidden layers of every head
  config.model.dropout = 0.3
  config.model.drop_path = 0.0
  config.model.dtype = 'float32'

  config.data.batch_size = 8  # windows
  # Feature sets of `abaw_jax.extract`, separated by commas and concatenated.
  config.data.features = 'small'
  config.data.window = 64  # frames
  config.data.stride = 64  # frames from window to window

  config.loss.va_loss = 'mse'
  config.loss.weights.valence = 12.0
  config.loss.weights.arousal = 12.0
  config.loss.weights.expression = 0.35

  config.optim.lr = 5e-5
  config.optim.warmup_epochs = 10.0
  config.optim.b1 = 0.5
  config.optim.weight_decay = 0.0
  config.optim.clip_norm = 5.0

  if variant in ('small', 'smoke'):
    config.model.dim = 128
    config.model.depth = 2
    config.model.num_heads = 4
    config.model.mlp_dim = 256
    config.model.head_dims = (64,)
    config.data.stride = 32
    config.optim.lr = 1e-3
    config.optim.b1 = 0.9
    config.optim.warmup_epochs = 2.0
    config.epochs = 20.0
    config.eval_epochs = 2.0
  if variant == 'smoke':
    config.model.dim = 32
    config.optim.warmup_epochs = 0.0
    config.epochs = 2.0
  return config
