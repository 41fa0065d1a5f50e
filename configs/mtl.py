r"""Temporal multi-task model on cached features: valence, arousal, EXPR and AUs.

  abaw-jax train --config=mtl
  abaw-jax train --config=mtl --config.data.name=s_aff_wild2 \
      --config.data.dir=DATA_DIR --config.data.features=FEATURES

On two CPU cores, use the variant `small`; `smoke` takes seconds.

The transformer of AIM3-RUC (arXiv 2207.09373), with the values of their script:
Share Bottom of Encoder with hidden states feedback, 1 shared and 3 private post-norm
layers of width 1024, feedback from valence and action units to arousal, windows of
64 frames, 8 windows per update, loss weights V:A:AU:EXPR = 12:12:1:0.35, heads with
512 and 256 hidden units. `faithful` also has every quirk of their published code
(docs/temporal.md); the other variants correct them. Their other frameworks:

  Share Encoder: --config.model.framework=share_encoder --config.model.depth=4 \
      --config.model.private_layers=0 --config.model.feedback=none
  Share Bottom:  --config.model.feedback=none

`small` and `smoke` use the Share Encoder.

Cost and score: `small` takes about a minute on two CPU cores and reaches P_MTL
1.129 +- 0.044 on the procedural corpus (three seeds). `full` has 135.8 M parameters
and trains 94 to 186 frames/s on two CPU cores; its score is not measured. Other
variants: not measured.
"""

import ml_collections

from abaw_jax.configs import base, losses

VARIANTS = ('full', 'faithful', 'small', 'smoke')
SHARE_ENCODER = {
    'framework': 'share_encoder', 'private_layers': 0, 'feedback': 'none'
}  # fmt: skip


def get_config(variant: str = 'full') -> ml_collections.ConfigDict:
  """Returns the experiment; `small` and `smoke` are for two CPU cores."""
  base.check_variant(variant, VARIANTS)
  config = base.get_config()
  losses.add_multi_task_loss(config)
  config.epochs = 50.0
  config.log_steps = 10
  config.keep_task_bests = True

  config.model.name = 'temporal'
  # Shared encoder: 'transformer', 'lstm', 'bilstm', 'gru', 'fft' (relative
  # attention and convolutions), 'tcn' (dilated convolutions), or 'none' (heads
  # read the features).
  config.model.encoder = 'transformer'
  config.model.dim = 1024
  config.model.depth = 1
  config.model.num_heads = 16  # for transformer and fft
  config.model.mlp_dim = 2048  # for transformer
  config.model.kernel_size = 3  # frames, of a convolution; for tcn
  config.model.encoder_dropout = 0.3  # for all encoders, also private layers
  config.model.drop_path = 0.0  # stochastic depth; for transformer
  config.model.norm = 'post'  # layer norm, 'post' or 'pre'; for transformer
  # 'sine', 'learned', 'rotary' or 'none'; for transformer.
  config.model.positions = 'sine'
  # Sine encoding of position 0: 'sine', or 'zero' as in AIM3-RUC.
  config.model.first_position = 'sine'
  # Positions count 'rows' of a window, or true 'frames' (s-Aff-Wild2 has only some
  # frames of each video).
  config.model.time = 'rows'
  config.model.max_length = 512  # number of learned positions
  # Whether attention ignores padding. AIM3-RUC read padding up to the length of
  # the longest video in the batch.
  config.model.mask_padding = True
  # Whether hidden states do not depend on later frames (always so in lstm, gru).
  config.model.causal = False
  # Whether the backward state of a bilstm is carried between windows, as in
  # AIM3-RUC, or starts at 0 in each window.
  config.model.carry_backward = False

  # 'share_encoder', or 'share_bottom' (private transformer layers for each task).
  config.model.framework = 'share_bottom'
  config.model.private_layers = 3  # 1 or more with share_bottom
  config.model.private_head_dim = 64  # width of attention heads there
  # Whether the input of private layers gets positions again.
  config.model.second_positions = True
  config.model.hidden_dims = (512, 256)  # hidden layers of every head
  # Tasks whose head is one linear layer, without hidden layers.
  config.model.linear_heads = ''
  # Valence and arousal read only this number of features, the last ones (for
  # example scores after an embedding); 0 = all; for encoder 'none'.
  config.model.va_features = 0
  config.model.va_tanh = False  # whether valence and arousal end with tanh
  config.model.dropout = 0.3  # in the heads
  # Trained tasks; the outputs of other tasks get no gradient.
  config.model.tasks = 'valence,arousal,expression,au'
  # Feedback from source tasks to target tasks: 'none', 'hidden' (hidden states of
  # the source heads), 'label' (embedded labels) or 'output' (outputs, with
  # gradients). Source tasks must be trained, and no task can be both.
  config.model.feedback = 'hidden'
  config.model.feed_source = 'valence,au'
  config.model.feed_target = 'arousal'
  config.model.feed_dim = 256  # width of an embedded label
  # Share of the frames of a training window whose feedback is the true label, with
  # feedback 'label'; and whether this share decays per epoch, to 0 in the last one.
  config.model.feed_truth_rate = 0.0
  config.model.feed_truth_decay = False
  # Feedback if the true label is missing: 'prediction', or 'zero' as in AIM3-RUC.
  config.model.feed_missing = 'prediction'
  # Whether valence and arousal are clipped to [-1, 1] for feedback; not so in
  # AIM3-RUC.
  config.model.feed_clip = True
  # Whether the input features get a layer norm.
  config.model.feature_layer_norm = False
  # Initial weights: 'default', or 'normal' for N(0, 0.02) with equal query, key and
  # value projections, as in AIM3-RUC.
  config.model.initializer = 'default'
  config.model.dtype = 'float32'

  # Windows per update; with batching 'stateful_videos', all of different videos.
  config.data.batch_size = 8
  # Feature sets (`abaw-jax extract`), separated by commas; they are concatenated.
  config.data.features = 'small'
  # 'windows' draws independent windows. 'stateful_videos' gives each row of a
  # batch one video, window after window, so the hidden state is carried from
  # batch to batch, as in AIM3-RUC.
  config.data.batching = 'windows'
  config.data.window = 64  # frames
  config.data.stride = 64  # frames between windows; for batching 'windows'
  # Last window of a training video: 'shift' starts it earlier, so that it is full;
  # 'short' starts it at the end of the window before; for batching 'windows'.
  config.data.last_window = 'shift'
  # Whether a batch has videos of similar length, or of random length as in
  # AIM3-RUC; for batching 'stateful_videos'.
  config.data.buckets = True
  # Standardises features with the mean and standard deviation of the training
  # split ('train'), of each video ('video'), or of each video with the padding to
  # the longest video of its batch ('batch', as in AIM3-RUC; for batching
  # 'stateful_videos'). 'none' = off.
  config.data.norm = 'none'
  config.data.norm_features = ''  # feature sets that are normalised; '' = all
  # Number of folds of the videos of train and validation; 0 = the official split.
  config.data.num_folds = 0
  config.data.fold = 0  # held-out fold, from 0
  config.data.fold_seed = 0  # seed of the folds; does not depend on `seed`
  # Whether to train on train and validation. Validation scores are then invalid.
  config.data.full = False
  # In training, a frame without a label takes the label of the nearest labelled
  # frame within this distance, in frame numbers; 0 = off.
  config.data.fill_labels = 0

  # Weighting of the task losses, in addition to `weights`: 'fixed' = none;
  # 'normalized' divides each loss by its value; 'uncertainty' divides it by a
  # learned variance and adds the log of the variance; 'param_adjust' is the same
  # as in AIM3-RUC, with a learned s and variance s^2; 'dwa' (dynamic weight average)
  # gives more weight to losses that decrease slowly from epoch to epoch.
  config.loss.weighting = 'fixed'
  # Minimal divisor of 'normalized'. With 0, as in AIM3-RUC, a loss near 0
  # dominates.
  config.loss.least_loss = 0.01
  # L2 penalty: factor of the sum of squared kernels of linear heads.
  config.loss.l2 = 0.0
  config.loss.va_loss = 'mse'
  config.loss.weights.valence = config.loss.weights.arousal = 12.0
  config.loss.weights.expression = 0.35

  config.optim.lr = 5e-5
  config.optim.schedule = 'linear_with_warmup'
  config.optim.warmup_epochs = 10.0
  config.optim.b1 = 0.5
  config.optim.weight_decay = 0.0
  config.optim.clip_norm = 5.0
  config.optim.clip_by = 'part'  # encoder, private parts, embeddings

  if variant == 'faithful':
    config.model.first_position = 'zero'
    config.model.mask_padding = False
    config.model.carry_backward = True
    config.model.feed_missing = 'zero'
    config.model.feed_clip = False
    config.model.initializer = 'normal'
    config.data.batching = 'stateful_videos'
    config.data.buckets = False
    config.loss.va_mean = 'all'
    config.loss.least_loss = 0.0
    config.optim.warmup_from_zero = True
  if variant in ('small', 'smoke'):
    config.model.update(SHARE_ENCODER)
    config.model.dim = 128
    config.model.depth = 2
    config.model.num_heads = 4
    config.model.mlp_dim = 256
    config.model.hidden_dims = (64,)
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
