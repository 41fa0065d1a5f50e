"""The temporal multi-task model: an encoder of windows and task heads."""

from collections.abc import Callable

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from abaw_jax.core import errors
from abaw_jax.models.layers import feature_norm
from abaw_jax.models.multi_task import feedback as feedbacks
from abaw_jax.models.multi_task import heads
from abaw_jax.models.temporal import encoder as encoders
from abaw_jax.models.temporal import window_context


class TaskNetwork(nn.Module):
  """The layers of one task: a private encoder, if there is one, and a head.

  `hidden_dims` are the widths of this head; see `TemporalModel` for the others.
  """

  task: str
  private: Callable[..., nn.Module] | None
  private_head_dim: int
  hidden_dims: tuple[int, ...]
  dropout: float
  initializer: str

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b t d'],
      context: window_context.WindowContext,
      *,
      train: bool,
  ) -> tuple[Float[Array, 'b t *k'], Float[Array, 'b t f']]:
    """Returns (output of the task, hidden state: input of the last layer)."""
    if self.private is not None:
      dim = x.shape[-1]
      num_heads = private_heads(self.task, dim, self.private_head_dim)
      encoder = self.private(dim=dim, num_heads=num_heads, name='encoder')
      x, _ = encoder(x, context, {}, train=train)
    out, hidden = heads.TaskHead(
        heads.TASK_DIMS[self.task],
        self.hidden_dims,
        self.dropout,
        self.initializer,
        name='head',
    )(x, train=train)
    return (out[..., 0] if out.shape[-1] == 1 else out), hidden


def private_heads(task: str, dim: int, private_head_dim: int) -> int:
  """Returns the number of attention heads of a private encoder."""
  num_heads = dim // private_head_dim
  if num_heads < 1 or dim % num_heads:
    raise errors.InputError(
        f'config.model.private_head_dim={private_head_dim}: the private '
        f'encoder of {task} has width {dim}; choose a divisor of {dim}'
    )
  return num_heads


class TemporalModel(nn.Module):
  """The frameworks of AIM3-RUC (arXiv 2207.09373) on windows of features.

  Without `private` all tasks read the same hidden states (Share Encoder). With
  `private` each task also has its own encoder on top (Share Bottom of Encoder).
  With `feedback` some tasks also read hidden states, labels or outputs of others.
  Parameters have the names `encoder`, `feedback_<task>`, `layer_norm` and the
  name of each task.

  Attributes:
    encoder: the temporal encoder that all tasks share.
    hidden_dims: widths of the hidden layers of every head that is not linear.
    linear_heads: tasks with a head of one linear layer.
    va_features: number of features that valence and arousal read, counted from
      the last one (for example scores after an embedding); 0 means all.
    va_tanh: whether tanh limits valence and arousal to (-1, 1).
    dropout: dropout rate of the heads.
    private: builds the encoder of a task from `dim` and `num_heads`; None means
      that there are no private encoders.
    private_head_dim: width of an attention head of a private encoder.
      Reference: always 64 in AIM3-RUC.
    feedback: feedback between tasks; None means no feedback.
    tasks: trained tasks; the outputs of other tasks have no gradient.
    feature_layer_norm: whether features pass through a layer norm first.
    initializer: initializer of the kernels, a key of `initializers.KERNELS`.
  """

  encoder: encoders.Encoder
  hidden_dims: tuple[int, ...] = (512, 256)
  linear_heads: tuple[str, ...] = ()
  va_features: int = 0
  va_tanh: bool = False
  dropout: float = 0.0
  private: Callable[..., nn.Module] | None = None
  private_head_dim: int = 64
  feedback: feedbacks.Feedback | None = None
  tasks: tuple[str, ...] = tuple(heads.TASK_DIMS)
  feature_layer_norm: bool = False
  initializer: str = 'default'

  def initial_carry(self, batch_size: int) -> PyTree[Array]:
    """Returns the carry of the first windows of videos."""
    return self.encoder.initial_carry(batch_size)

  def task_hidden_dims(self, task: str) -> tuple[int, ...]:
    """Returns the widths of the hidden layers of a task's head."""
    return () if task in self.linear_heads else self.hidden_dims

  @property
  def order(self) -> tuple[str, ...]:
    """Returns the tasks in order of computation: feedback targets are last."""
    targets = self.feedback.targets if self.feedback else ()
    return tuple(t for t in heads.TASK_DIMS if t not in targets) + targets

  @nn.compact
  def __call__(
      self,
      features: Float[Array, 'b t f'],
      context: window_context.WindowContext,
      carry: PyTree[Float[Array, 'b ...']],
      *,
      train: bool,
  ) -> tuple[
      dict[str, Array | dict[str, Array]], PyTree[Float[Array, 'b ...']]
  ]:
    """Returns (a `labels.Output` per frame, carry); padding is undefined.

    Args:
      features: one vector per frame.
      context: mask, frame numbers and fed-back labels of the windows.
      carry: carry of the previous window, or of `initial_carry`.
      train: whether dropout is active.
    """
    x = feature_norm.FeatureNorm(name='feature_norm')(features, context.mask)
    if self.feature_layer_norm:
      x = nn.LayerNorm(epsilon=1e-6, name='layer_norm')(x)
    shared, carry = self.encoder(x, context, carry, train=train)
    output, hidden, fed_back = {}, {}, {}
    for task in self.order:
      is_va = heads.TASK_DIMS[task] == 1
      x = shared
      if is_va and self.va_features:
        x = self._last(shared)
      if self.feedback and task in self.feedback.targets:
        if not fed_back:
          fed_back = self._feed_back(output, hidden, context)
        x = jnp.concatenate([x, *fed_back.values()], axis=-1)
      out, hidden[task] = TaskNetwork(
          task,
          self.private,
          self.private_head_dim,
          self.task_hidden_dims(task),
          self.dropout,
          self.initializer,
          name=task,
      )(x, context, train=train)
      if is_va and self.va_tanh:
        out = jnp.tanh(out)
      output[task] = out if task in self.tasks else jax.lax.stop_gradient(out)
    return output | {'hidden': hidden}, carry

  def _last(self, x: Float[Array, 'b t f']) -> Float[Array, 'b t k']:
    """Returns the features that valence and arousal read."""
    if self.va_features > x.shape[-1]:
      raise errors.InputError(
          f'config.model.va_features={self.va_features}: there are '
          f'{x.shape[-1]} features; choose at most {x.shape[-1]}'
      )
    return x[..., -self.va_features :]

  def _feed_back(self, output, hidden, context):
    """Returns the features [b, t, d] from each source task, by its name."""
    sources = self.feedback.sources
    if self.feedback.kind == 'hidden':
      return {task: jax.lax.stop_gradient(hidden[task]) for task in sources}
    if self.feedback.kind == 'output':
      return {
          task: output[task].reshape(*output[task].shape[:2], -1)
          for task in sources
      }
    fed_back = {}
    for task in sources:
      use_truth = None
      if context.truth is not None:
        use_truth = feedbacks.truth_positions(self.make_rng('dropout'), context)
      fed_back[task] = feedbacks.LabelEmbedding(
          task,
          self.feedback.dim,
          self.feedback.missing,
          self.feedback.clip,
          name=f'feedback_{task}',
      )(output[task], context.truth, use_truth).astype(hidden[task].dtype)
    return fed_back
