"""What tasks tell other tasks: hidden states of their heads, or their labels."""

from collections.abc import Mapping
import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from abaw_jax.core import labels
from abaw_jax.models.multi_task import heads
from abaw_jax.models.temporal import masks

KINDS = ('hidden', 'label')
MISSING = ('prediction', 'zero')

# The mask of each task's labels in a batch.
MASKS = {
    'valence': 'va',
    'arousal': 'va',
    'expression': 'expr',
    'au': 'au_mask',
}


@dataclasses.dataclass(frozen=True)
class Feedback:
  """Which tasks tell which others what.

  Attributes:
    kind: 'hidden' for what the last layer of a source's head reads, 'label' for
      an embedding of its labels. Neither has a gradient to the source.
    sources: tasks that tell, in the order of their channels.
    targets: tasks that are told, in the order in which they are computed; none
      of them is a source.
    dim: width of the embedding of labels.
    missing: what is embedded where ground truth is chosen and there is none:
      'prediction', or 'zero' for no label at all.
    clip: whether valence and arousal are held to [-1, 1].
    truth_rate: share of the frames whose true labels are told in training.
    truth_decay: whether that falls from epoch to epoch.
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
  """Embeds one task's labels: the sum of a vector per label, by how true it is.

  Attributes:
    task: whose labels.
    dim: width of the embedding.
    missing: as in `Feedback`.
    clip: as in `Feedback`.
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
    """Returns embedded labels.

    Args:
      output: of the task, as in `labels.Output`; it gets no gradient.
      truth: a batch with the task's labels and mask; None means predictions only.
      use_truth: True on frames whose label is the true one.
    """
    table = self.param(
        'embedding',
        nn.initializers.normal(1.0),
        (heads.TASK_DIMS[self.task], self.dim),
        jnp.float32,
    )
    weights = predicted(self.task, jax.lax.stop_gradient(output), self.clip)
    if truth is not None:
      true, known = given(self.task, truth)
      if self.missing == 'prediction':
        true = jnp.where(known, true, weights)
      weights = jnp.where(use_truth[None, :, None], true, weights)
    return weights @ table


def predicted(
    task: str, output: Float[Array, 'b t *k'], clip: bool
) -> Float[Array, 'b t n']:
  """Returns how true a task says each of its labels is, in [0, 1].

  Valence and arousal are one label, (y + 1) / 2, within [0, 1] only with `clip`.
  """
  if task == 'expression':
    return jax.nn.softmax(output, axis=-1)
  if task == 'au':
    return jax.nn.sigmoid(output)
  output = jnp.clip(output, -1.0, 1.0) if clip else output
  return (output[..., None] + 1.0) / 2.0


def given(
    task: str, truth: Mapping[str, Array]
) -> tuple[Float[Array, 'b t n'], Bool[Array, 'b t #n']]:
  """Returns (how true each label is, 0 where unknown; True where it is known)."""
  value, known = truth[task], truth[MASKS[task]]
  if task == 'expression':
    value = jax.nn.one_hot(value, labels.NUM_EXPRESSIONS)
  elif task != 'au':
    value = (value[..., None] + 1.0) / 2.0
  known = known if known.ndim == 3 else known[..., None]
  return jnp.where(known, value.astype(jnp.float32), 0.0), known


def truth_positions(
    key: Key[Array, ''],
    mask: Bool[Array, 'b t'],
    window_length: Int[Array, 'b'] | None,
    rate: float | Float[Array, ''],
) -> Bool[Array, 't']:
  """Returns which frames of a window get true labels, the same in every row.

  A share `rate`, rounded down, of the frames of the window, drawn at random.
  """
  inside = masks.within(mask, window_length)[0]
  order = jnp.where(inside, jax.random.uniform(key, inside.shape), jnp.inf)
  rank = jnp.argsort(jnp.argsort(order))
  return rank < jnp.floor(rate * inside.sum())
