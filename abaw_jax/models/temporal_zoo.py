"""Builds the temporal multi-task model from the `model` section of a config."""

import functools
from typing import Any

from abaw_jax.core import choices, errors
from abaw_jax.models.layers import dtypes, initializers
from abaw_jax.models.multi_task import feedback as feedbacks
from abaw_jax.models.multi_task import heads, temporal_model
from abaw_jax.models.temporal import encoder as encoders
from abaw_jax.models.temporal import (
    fft_encoder,
    recurrent,
    tcn,
    transformers,
)

ENCODERS = ('transformer', 'lstm', 'bilstm', 'gru', 'fft', 'tcn', 'none')
FRAMEWORKS = ('share_encoder', 'share_bottom')
FEEDBACKS = ('none', *feedbacks.KINDS)


def make_temporal(
    *,
    encoder: str,
    framework: str,
    dim: int,
    depth: int,
    num_heads: int,
    mlp_dim: int,
    encoder_dropout: float,
    drop_path: float,
    norm: str,
    positions: str,
    first_position: str,
    time: str,
    max_length: int,
    mask_padding: bool,
    causal: bool,
    carry_backward: bool,
    private_layers: int,
    private_head_dim: int,
    second_positions: bool,
    hidden_dims: tuple[int, ...],
    linear_heads: str,
    va_features: int,
    va_tanh: bool,
    dropout: float,
    tasks: str,
    feedback: str,
    feed_source: str,
    feed_target: str,
    feed_dim: int,
    feed_truth_rate: float,
    feed_truth_decay: bool,
    feed_missing: str,
    feed_clip: bool,
    feature_layer_norm: bool,
    initializer: str,
    dtype: str,
    kernel_size: int = 3,
) -> temporal_model.TemporalModel:
  """Returns the temporal multi-task model, or raises an InputError.

  configs/mtl.py explains every argument.
  """
  for allowed, value, key in (
      (ENCODERS, encoder, 'encoder'),
      (FRAMEWORKS, framework, 'framework'),
      (transformers.NORMS, norm, 'norm'),
      (transformers.POSITIONS, positions, 'positions'),
      (transformers.FIRST_POSITIONS, first_position, 'first_position'),
      (transformers.TIMES, time, 'time'),
      (initializers.KERNELS, initializer, 'initializer'),
      (FEEDBACKS, feedback, 'feedback'),
      (feedbacks.MISSING, feed_missing, 'feed_missing'),
  ):
    choices.choose(dict.fromkeys(allowed), value, f'model.{key}')
  if (framework == 'share_bottom') != (private_layers > 0):
    raise errors.InputError(
        f'config.model.private_layers={private_layers}: share_bottom needs 1 '
        f'or more, share_encoder needs 0; config.model.framework={framework}'
    )
  if time == 'frames' and positions == 'learned':
    raise errors.InputError(
        'config.model.time=frames: a table of learned positions cannot hold '
        "all frame numbers; set positions to 'sine' or 'rotary'"
    )
  if causal and encoder in ('bilstm', 'fft'):
    raise errors.InputError(
        f'config.model.causal=True: {encoder} reads later frames; choose '
        'transformer, lstm, gru, tcn or none'
    )
  if encoder == 'tcn' and not causal and kernel_size % 2 == 0:
    raise errors.InputError(
        f'config.model.kernel_size={kernel_size}: a centred tcn needs an odd '
        'number of frames; choose one, or config.model.causal=True'
    )
  if va_features and encoder != 'none':
    raise errors.InputError(
        f'config.model.va_features={va_features}: give 0 for all features, or '
        'the number of last features that valence and arousal read; the latter '
        "needs encoder 'none'"
    )
  compute = choices.choose(dtypes.DTYPES, dtype, 'model.dtype')
  transformer = functools.partial(
      transformers.TransformerEncoder,
      mlp_dim=mlp_dim,
      dropout=encoder_dropout,
      drop_path=drop_path,
      norm=norm,
      first_position=first_position,
      time=time,
      max_length=max_length,
      mask_padding=mask_padding,
      causal=causal,
      initializer=initializer,
      dtype=compute,
  )
  sizes = {'dim': dim, 'depth': depth}
  if encoder == 'none':
    shared = encoders.Encoder()
  elif encoder == 'tcn':
    shared = tcn.TCNEncoder(
        **sizes,
        kernel_size=kernel_size,
        dropout=encoder_dropout,
        causal=causal,
        initializer=initializer,
        dtype=compute,
    )
  elif encoder in ('transformer', 'fft'):
    if dim % num_heads:
      raise errors.InputError(
          f'config.model.dim={dim} is not a multiple of '
          f'config.model.num_heads={num_heads}: choose widths that divide'
      )
    sizes['num_heads'] = num_heads
    if encoder == 'fft':
      shared = fft_encoder.FFTEncoder(
          **sizes,
          dropout=encoder_dropout,
          initializer=initializer,
          dtype=compute,
      )
    else:
      shared = transformer(**sizes, positions=positions)
  else:
    shared = recurrent.RecurrentEncoder(
        **sizes,
        cell=encoder.removeprefix('bi'),
        dropout=encoder_dropout,
        bidirectional=encoder == 'bilstm',
        carry_backward=carry_backward,
        mask_padding=mask_padding,
        dtype=compute,
    )
  private = functools.partial(
      transformer,
      depth=private_layers,
      project=False,
      positions=positions if second_positions else 'none',
  )
  trained = choices.names(heads.TASK_DIMS, tasks, 'model.tasks')
  if not trained:
    raise errors.InputError(
        f'config.model.tasks={tasks}: no task is trained; name one or more of '
        f'{", ".join(heads.TASK_DIMS)}'
    )
  return temporal_model.TemporalModel(
      shared,
      hidden_dims=tuple(hidden_dims),
      linear_heads=choices.names(
          heads.TASK_DIMS, linear_heads, 'model.linear_heads'
      ),
      va_features=va_features,
      va_tanh=va_tanh,
      dropout=dropout,
      private=private if private_layers else None,
      private_head_dim=private_head_dim,
      feedback=make_feedback(
          feedback,
          feed_source,
          feed_target,
          trained,
          dim=feed_dim,
          missing=feed_missing,
          clip=feed_clip,
          truth_rate=feed_truth_rate,
          truth_decay=feed_truth_decay,
      ),
      tasks=trained,
      feature_layer_norm=feature_layer_norm,
      initializer=initializer,
  )


def make_feedback(
    kind: str,
    sources: str,
    targets: str,
    trained: tuple[str, ...],
    **options: Any,
) -> feedbacks.Feedback | None:
  """Returns the feedback between tasks; None for the kind 'none'.

  Raises:
    InputError: a task is unknown, there is no source or no target, or a source
      is also a target or is not trained.
  """
  if kind == 'none':
    return None
  to_tasks = choices.names(heads.TASK_DIMS, targets, 'model.feed_target')
  from_tasks = choices.names(heads.TASK_DIMS, sources, 'model.feed_source')
  if not (to_tasks and from_tasks):
    raise errors.InputError(
        f'config.model.feedback={kind}: name at least one task in feed_source '
        "and one in feed_target, or set it to 'none'"
    )
  for task in from_tasks:
    if task in to_tasks:
      raise errors.InputError(
          f'config.model.feed_source={sources}: {task} is also in '
          'feed_target; remove it from one of them'
      )
    if task not in trained:
      raise errors.InputError(
          f'config.model.feed_source={sources}: {task} is not trained; add it '
          'to config.model.tasks'
      )
  return feedbacks.Feedback(kind, from_tasks, to_tasks, **options)
