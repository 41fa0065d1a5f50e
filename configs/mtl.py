r"""Temporal multi-task model on cached frame features: valence to action units.

Train:  python -m abaw_jax.train --config=configs/mtl.py
As run: python -m abaw_jax.train --config=configs/mtl.py:faithful
Small:  python -m abaw_jax.train --config=configs/mtl.py:small   (2 CPU cores)
Smoke:  python -m abaw_jax.train --config=configs/mtl.py:smoke   (seconds)
Real:   python -m abaw_jax.train --config=configs/mtl.py \
            --config.data.name=s_aff_wild2 --config.data.dir=DATA_DIR \
            --config.data.features=FEATURES

The transformer of AIM3-RUC (arXiv 2207.09373) as their script has it: Share
Bottom of Encoder with hidden states feedback, 1 shared and 3 private post-norm
layers, 1024 wide, valence and action units feed arousal, windows of 64 frames, 8
per update, losses weighted V:A:AU:EXPR = 12:12:1:0.35, heads of 512 and 256.
`faithful` is that with every quirk of their published code (docs/temporal.md);
the others are what it should have been. Their other frameworks:

  Share Encoder: --config.model.framework=share_encoder --config.model.depth=4 \
      --config.model.private_layers=0 --config.model.feedback=none
  Share Bottom:  --config.model.feedback=none

`small` and `smoke` have the Share Encoder.
"""

import ml_collections

from abaw_jax.configs import base

VARIANTS = ('full', 'faithful', 'small', 'smoke')


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  base.add_multi_task_loss(config)
  config.epochs = 50.0
  config.log_steps = 10
  config.keep_task_bests = True

  config.model.name = 'temporal'
  # What the tasks share: 'transformer', 'lstm', 'bilstm', 'gru', 'fft' (relative
  # attention and convolutions), or 'none' for the features themselves.
  config.model.encoder = 'transformer'
  config.model.dim = 1024
  config.model.depth = 1
  config.model.num_heads = 16  # transformer and fft
  config.model.mlp_dim = 2048  # transformer
  config.model.encoder_dropout = 0.3  # all encoders, private ones too
  config.model.drop_path = 0.0  # transformer
  config.model.norm = 'post'  # of transformer layers: 'post' or 'pre'
  # 'sine', 'learned', 'rotary' or 'none'; transformer.
  config.model.positions = 'sine'
  # Code of time 0 in sine positions: 'sine', or 'zero' as AIM3-RUC had it.
  config.model.first_position = 'sine'
  # What positions count from the first frame of a window: 'rows', or true
  # 'frames' (s-Aff-Wild2 is a sparse sample).
  config.model.time = 'rows'
  config.model.max_length = 512  # rows of the table of learned positions
  # Whether padded frames are never read; AIM3-RUC did read those up to the end of
  # the window of the longest video in the batch.
  config.model.mask_padding = True
  # Whether hidden states depend on no later frame (lstm and gru never do).
  config.model.causal = False
  # Whether the backward states of a bilstm go from window to window, as AIM3-RUC
  # had it, or start at 0 in each.
  config.model.carry_backward = False

  # 'share_encoder', or 'share_bottom' with transformer layers for each task.
  config.model.framework = 'share_bottom'
  config.model.private_layers = 3  # 1 or more with share_bottom
  config.model.private_head_dim = 64  # width of their attention heads
  # Whether positions are added to the input of private layers again.
  config.model.second_positions = True
  config.model.head_dims = (512, 256)  # hidden layers of every head
  # Tasks whose head is one linear layer all the same.
  config.model.linear_heads = ''
  # How many of the last features valence and arousal read, such as the scores
  # behind an embedding; 0 = all; encoder 'none'. And whether they end in tanh.
  config.model.va_features = 0
  config.model.va_tanh = False
  config.model.dropout = 0.3  # of the heads
  # Tasks that are trained; the outputs of others have no gradient.
  config.model.tasks = 'valence,arousal,expression,au'
  # What tasks tell others: 'none', 'hidden' for hidden states of their heads, or
  # 'label' for embedded labels. Sources are trained, and none is a target.
  config.model.feedback = 'hidden'
  config.model.feed_source = 'valence,au'
  config.model.feed_target = 'arousal'
  config.model.feed_dim = 256  # width of an embedded label
  # Share of the frames of a training window whose true labels are told, with
  # feedback 'label'; and whether it falls from epoch to epoch, to 0 in the last.
  config.model.feed_truth_rate = 0.0
  config.model.feed_truth_decay = False
  # What is told where a true label is missing: 'prediction', or 'zero' for
  # nothing as AIM3-RUC had it.
  config.model.feed_missing = 'prediction'
  # Whether valence and arousal are held to [-1, 1] before they are told; AIM3-RUC
  # did not.
  config.model.feed_clip = True
  # Whether the features of a frame are layer-normalised first.
  config.model.feature_layer_norm = False
  # Law of the first weights: 'default', or 'normal' for N(0, 0.02) with equal
  # query-key-value projections, as AIM3-RUC had it.
  config.model.init = 'default'
  config.model.dtype = 'float32'

  # Windows per update; each is of another video with batching 'videos'.
  config.data.batch_size = 8
  # Feature sets of `abaw_jax.extract`, separated by commas and concatenated.
  config.data.features = 'small'
  # 'windows' draws windows one by one. 'videos' takes whole videos side by side,
  # window after window, so that a state is carried on, as AIM3-RUC did.
  config.data.batching = 'windows'
  config.data.window = 64  # frames
  config.data.stride = 64  # frames from window to window; batching 'windows'
  # Where the last window of a training video starts: 'shift' for early enough to
  # be full, 'short' for where the one before ends; batching 'windows'.
  config.data.tail = 'shift'
  # Whether videos of like length go side by side, or as they are shuffled, as
  # AIM3-RUC had it; batching 'videos'.
  config.data.buckets = True
  # Features less their mean, over their standard deviation, both of: the frames
  # of the training split ('train'), of each video ('video'), or of each video
  # with the zeros that pad it to the longest of its batch ('batch', as AIM3-RUC
  # had it; batching 'videos'). 'none' leaves them as they are.
  config.data.norm = 'none'
  config.data.norm_features = ''  # feature sets that are normalised; '' = all
  # Parts of equal size that the videos of train and validation are dealt into; 0
  # = the official split.
  config.data.num_folds = 0
  config.data.fold = 0  # from 0: the one that is scored and not trained on
  config.data.fold_seed = 0  # of the dealing; the same for runs of other seeds
  # Whether to train on train and validation, whose scores then mean nothing.
  config.data.full = False
  # Frames, by frame number, to the nearest labelled frame from which one without
  # a label takes it in training; 0 = none does.
  config.data.fill_labels = 0

  # How the tasks' losses are balanced beside their weights: 'fixed', not at all;
  # 'normalized', each divided by its value; 'uncertainty', each divided by a
  # variance that is learned, with its logarithm as the price; 'param_adjust',
  # that as AIM3-RUC had it, learning s with variance s^2; 'dwa', more to what
  # fell less from epoch to epoch.
  config.loss.balance = 'fixed'
  # The least value that 'normalized' divides by; 0, as AIM3-RUC had it, lets a
  # loss of almost nothing rule.
  config.loss.least_loss = 0.01
  # Times the sum of squares of the kernels of linear heads, added to the loss.
  config.loss.l2 = 0.0
  config.loss.va_loss = 'mse'
  config.loss.weights.valence = 12.0
  config.loss.weights.arousal = 12.0
  config.loss.weights.expression = 0.35

  config.optim.lr = 5e-5
  config.optim.schedule = 'linear_with_warmup'
  config.optim.warmup_epochs = 10.0
  config.optim.b1 = 0.5
  config.optim.weight_decay = 0.0
  config.optim.clip_norm = 5.0
  config.optim.clip_by = 'part'  # encoder, what is each task's own, embeddings

  if variant == 'faithful':
    config.model.first_position = 'zero'
    config.model.mask_padding = False
    config.model.carry_backward = True
    config.model.feed_missing = 'zero'
    config.model.feed_clip = False
    config.model.init = 'normal'
    config.data.batching = 'videos'
    config.data.buckets = False
    config.loss.va_mean = 'all'
    config.loss.least_loss = 0.0
    config.optim.warmup_from_zero = True
  if variant in ('small', 'smoke'):
    config.model.framework = 'share_encoder'
    config.model.private_layers = 0
    config.model.feedback = 'none'
    config.model.dim = 128
    config.model.depth = 2
    config.model.num_heads = 4
    config.model.mlp_dim = 256
    config.model.head_dims = (64,)
    config.data.stride = 32
    config.optim.schedule = 'cosine'
    config.optim.clip_by = 'all'
    config.optim.lr = 1e-3
    config.optim.b1 = 0.9
    config.optim.warmup_epochs = 2.0
    config.epochs = 20.0
    config.eval_epochs = 2.0
  if variant == 'smoke':
    config.model.dim = 32
    config.model.depth = 1
    config.optim.warmup_epochs = 0.0
    config.epochs = 2.0
  return config
