"""Whole multi-task models: an encoder of frames or windows under task heads."""

from collections.abc import Callable, Mapping
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from abaw_jax.core import errors
from abaw_jax.models.layers import feature_norm
from abaw_jax.models.multi_task import feedback as feedbacks
from abaw_jax.models.multi_task import heads


class FrameModel(nn.Module):
  """The static model: a backbone and linear heads, one image at a time.

  Attributes:
    backbone: maps normalised images to one embedding each.
    dropout: dropout rate on the embedding.
  """

  backbone: nn.Module
  dropout: float = 0.0

  def setup(self):
    self.heads = heads.MultiTaskHeads((), self.dropout)

  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> dict[str, Array | dict[str, Array]]:
    """Returns a `labels.Output` per image, with its `embedding` [b, d]."""
    embedding = self.backbone(images, train=train)
    return self.heads(embedding, train=train) | {'embedding': embedding}


class Features(nn.Module):
  """No encoder: the features are the hidden states."""

  causal = True

  def initial_carry(self, batch_size: int) -> PyTree[Array]:
    """Returns {}."""
    del batch_size
    return {}

  def __call__(
      self,
      features: Float[Array, 'b t f'],
      mask: Bool[Array, 'b t'],
      carry: PyTree[Float[Array, 'b ...']],
      **window: Any,
  ) -> tuple[Float[Array, 'b t f'], PyTree[Float[Array, 'b ...']]]:
    """Returns (features, carry)."""
    del mask, window
    return features, carry


class TaskNetwork(nn.Module):
  """What belongs to one task alone: a private encoder, if any, and its head.

  Attributes:
    task: a key of `heads.TASK_DIMS`.
    private: makes the encoder from `dim` and `num_heads`; None means without.
    head_dim: width of an attention head of that encoder. Reference: AIM3-RUC,
      64 whatever the shared encoder has.
    hidden_dims: hidden widths of the head.
    dropout: dropout rate of the head.
    law: of the kernels, a key of `initialisation.LAWS`.
  """

  task: str
  private: Callable[..., nn.Module] | None
  head_dim: int
  hidden_dims: tuple[int, ...]
  dropout: float
  law: str

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b t d'],
      mask: Bool[Array, 'b t'],
      *,
      train: bool,
      **window: Any,
  ) -> tuple[Float[Array, 'b t *k'], Float[Array, 'b t f']]:
    """Returns (output of the task, what the last layer of its head reads)."""
    if self.private is not None:
      dim = x.shape[-1]
      num_heads = private_heads(self.task, dim, self.head_dim)
      encoder = self.private(dim=dim, num_heads=num_heads, name='encoder')
      x, _ = encoder(x, mask, {}, train=train, **window)
    out, hidden = heads.TaskHead(
        heads.TASK_DIMS[self.task],
        self.hidden_dims,
        self.dropout,
        self.law,
        name='head',
    )(x, train=train)
    return (out[..., 0] if out.shape[-1] == 1 else out), hidden


def private_heads(task: str, dim: int, head_dim: int) -> int:
  """Returns the attention heads of a private encoder of this width."""
  num_heads = dim // head_dim
  if num_heads < 1 or dim % num_heads:
    raise errors.InputError(
        f'config.model.private_head_dim={head_dim}: the private encoder of '
        f'{task} is {dim} wide; choose a width of heads that divides it'
    )
  return num_heads


class TemporalModel(nn.Module):
  """The frameworks of AIM3-RUC (arXiv 2207.09373) over windows of features.

  Without `private` all tasks read the same hidden states (Share Encoder), with
  it each has an encoder of its own behind them (Share Bottom of Encoder). With
  `feedback` some tasks are also told what others found. Parameters lie under
  `encoder`, the name of each task, `feedback_<task>` and `layer_norm`.

  Attributes:
    encoder: the temporal encoder that the tasks share.
    hidden_dims: hidden widths of every head that is not linear.
    linear: tasks whose head is one linear layer.
    va_features: how many of the last features of a frame valence and arousal
      read, such as the scores that follow an embedding; 0 means all.
    va_tanh: whether valence and arousal end in tanh, within (-1, 1).
    dropout: dropout rate of the heads.
    private: makes a task's encoder from `dim` and `num_heads`; None means none.
    private_head_dim: width of an attention head of a private encoder.
    feedback: which tasks tell which others what; None means none do.
    trained: the outputs of other tasks have no gradient.
    feature_layer_norm: whether features are layer-normalised first.
    law: of the kernels, a key of `initialisation.LAWS`.
  """

  encoder: nn.Module
  hidden_dims: tuple[int, ...] = (512, 256)
  linear: tuple[str, ...] = ()
  va_features: int = 0
  va_tanh: bool = False
  dropout: float = 0.0
  private: Callable[..., nn.Module] | None = None
  private_head_dim: int = 64
  feedback: feedbacks.Feedback | None = None
  trained: tuple[str, ...] = tuple(heads.TASK_DIMS)
  feature_layer_norm: bool = False
  law: str = 'default'

  def initial_carry(self, batch_size: int) -> PyTree[Array]:
    """Returns the carry of windows that begin a video."""
    return self.encoder.initial_carry(batch_size)

  def head_dims(self, task: str) -> tuple[int, ...]:
    """Returns the hidden widths of a task's head."""
    return () if task in self.linear else self.hidden_dims

  @property
  def order(self) -> tuple[str, ...]:
    """Returns the tasks in the order in which they are computed."""
    targets = self.feedback.targets if self.feedback else ()
    return tuple(t for t in heads.TASK_DIMS if t not in targets) + targets

  @nn.compact
  def __call__(
      self,
      features: Float[Array, 'b t f'],
      mask: Bool[Array, 'b t'],
      carry: PyTree[Float[Array, 'b ...']],
      *,
      train: bool,
      frame_id: Int[Array, 'b t'] | None = None,
      window_length: Int[Array, 'b'] | None = None,
      truth: Mapping[str, Array] | None = None,
      truth_rate: float | Float[Array, ''] = 0.0,
  ) -> tuple[
      dict[str, Array | dict[str, Array]], PyTree[Float[Array, 'b ...']]
  ]:
    """Returns (a `labels.Output` per frame, carry); undefined under the mask.

    Args:
      features: one vector per frame.
      mask: True on real frames.
      carry: state behind the window before, as this or `initial_carry` gave it.
      train: whether dropout is drawn.
      frame_id: true frame numbers.
      window_length: frames of the window; None means all.
      truth: a batch with labels and masks, for feedback of labels in training;
        None means that predictions alone are told.
      truth_rate: share of the frames whose true labels are told.
    """
    window = {
        'train': train, 'frame_id': frame_id, 'window_length': window_length
    }  # fmt: skip
    x = feature_norm.FeatureNorm(name='feature_norm')(features, mask)
    if self.feature_layer_norm:
      x = nn.LayerNorm(epsilon=1e-6, name='layer_norm')(x)
    shared, carry = self.encoder(x, mask, carry, **window)
    output, hidden, told = {}, {}, {}
    for task in self.order:
      is_va = heads.TASK_DIMS[task] == 1
      x = shared
      if is_va and self.va_features:
        x = self._last(shared)
      if self.feedback and task in self.feedback.targets:
        if not told:
          told = self._tell(
              output, hidden, mask, window_length, truth, truth_rate
          )
        x = jnp.concatenate([x, *told.values()], axis=-1)
      out, hidden[task] = TaskNetwork(
          task,
          self.private,
          self.private_head_dim,
          self.head_dims(task),
          self.dropout,
          self.law,
          name=task,
      )(x, mask, **window)
      if is_va and self.va_tanh:
        out = jnp.tanh(out)
      output[task] = out if task in self.trained else jax.lax.stop_gradient(out)
    return output | {'hidden': hidden}, carry

  def _last(self, x: Float[Array, 'b t f']) -> Float[Array, 'b t k']:
    """Returns the features that valence and arousal read."""
    if self.va_features > x.shape[-1]:
      raise errors.InputError(
          f'config.model.va_features={self.va_features}: there are '
          f'{x.shape[-1]} features; name those that end with the scores'
      )
    return x[..., -self.va_features :]

  def _tell(self, output, hidden, mask, window_length, truth, truth_rate):
    """Returns what each source tells the targets, [b, t, d] by its name."""
    sources = self.feedback.sources
    if self.feedback.kind == 'hidden':
      return {task: jax.lax.stop_gradient(hidden[task]) for task in sources}
    told = {}
    for task in sources:
      use_truth = None
      if truth is not None:
        key = self.make_rng('dropout')
        use_truth = feedbacks.truth_positions(
            key, mask, window_length, truth_rate
        )
      told[task] = feedbacks.LabelEmbedding(
          task,
          self.feedback.dim,
          self.feedback.missing,
          self.feedback.clip,
          name=f'feedback_{task}',
      )(output[task], truth, use_truth).astype(hidden[task].dtype)
    return told
