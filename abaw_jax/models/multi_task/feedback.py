"""Feedback between tasks: heads read hidden states, labels or outputs of others."""

from collections.abc import Mapping
import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from abaw_jax.core import labels
from abaw_jax.models.multi_task import heads
from abaw_jax.models.temporal import window_context

KINDS = ('hidden', 'label', 'output')
MISSING = ('prediction', 'zero')


@dataclasses.dataclass(frozen=True)
class Feedback:
  """Configuration of the feedback.

  Attributes:
    kind: 'hidden' feeds back the hidden state of a source's head, 'label' an
      embedding of its labels, both without gradients to the source. 'output' feeds
      back its output with gradients, as the joint model of HSE-NN.
    sources: tasks that are fed back, in the order of their channels.
    targets: tasks that read the feedback, in the order of computation; a target
      cannot be a source.
    dim: width of a label embedding.
    missing: replacement where a true label is chosen but missing: 'prediction',
      or 'zero' for an embedding of 0.
    clip: whether to clip valence and arousal to [-1, 1].
    truth_rate: share of the frames whose true labels are fed back in training.
    truth_decay: whether `truth_rate` falls linearly over the epochs.
  """

  kind: str
  sources: tuple[str, ...]
  targets: tuple[str, ...]
  dim: int = 256
  missing: str = 'prediction'
  clip: bool = True
  truth_rate: float = 0.0
  truth_decay: bool = False


class LabelEmbedding(nn.Module):
  """The embedding of a task's labels: a sum of one vector per label.

  The weight of a vector is the probability of its label. See `Feedback`.
  """

  task: str
  dim: int
  missing: str = 'prediction'
  clip: bool = True

  @nn.compact
  def __call__(
      self,
      output: Float[Array, 'b t *k'],
      truth: Mapping[str, Array] | None,
      use_truth: Bool[Array, 't'] | None,
  ) -> Float[Array, 'b t d']:
    """Returns the embedded labels of `output`, which gets no gradient.

    On frames where `use_truth` is True it embeds the labels of the batch
    `truth`; None means that only predictions are embedded.
    """
    table = self.param(
        'embedding',
        nn.initializers.normal(1.0),
        (heads.TASK_DIMS[self.task], self.dim),
        jnp.float32,
    )
    weights = predicted_probabilities(
        self.task, jax.lax.stop_gradient(output), self.clip
    )
    if truth is not None:
      true, known = true_probabilities(self.task, truth)
      if self.missing == 'prediction':
        true = jnp.where(known, true, weights)
      weights = jnp.where(use_truth[None, :, None], true, weights)
    return weights @ table


def predicted_probabilities(
    task: str, output: Float[Array, 'b t *k'], clip: bool
) -> Float[Array, 'b t n']:
  """Returns the predicted probability of each label, in [0, 1].

  Valence and arousal have one label with the value (y + 1) / 2, which is in [0,
  1] only with `clip`.
  """
  if task == 'expression':
    return jax.nn.softmax(output, axis=-1)
  if task == 'au':
    return jax.nn.sigmoid(output)
  output = jnp.clip(output, -1.0, 1.0) if clip else output
  return (output[..., None] + 1.0) / 2.0


def true_probabilities(
    task: str, truth: Mapping[str, Array]
) -> tuple[Float[Array, 'b t n'], Bool[Array, 'b t #n']]:
  """Returns (true value of each label, 0 where unknown; True where known)."""
  value, known = truth[task], truth[labels.MASKS[task]]
  if task == 'expression':
    value = jax.nn.one_hot(value, labels.NUM_EXPRESSIONS)
  elif task != 'au':
    value = (value[..., None] + 1.0) / 2.0
  known = known if known.ndim == 3 else known[..., None]
  return jnp.where(known, value.astype(jnp.float32), 0.0), known


def truth_positions(
    key: Key[Array, ''], context: window_context.WindowContext
) -> Bool[Array, 't']:
  """Returns the random frames that get true labels, equal for all rows.

  Their number is `truth_rate` times the frames of the window, rounded down.
  """
  inside = context.in_window[0]
  order = jnp.where(inside, jax.random.uniform(key, inside.shape), jnp.inf)
  rank = jnp.argsort(jnp.argsort(order))
  return rank < jnp.floor(context.truth_rate * inside.sum())
