"""The loss of the multi-task problem, as a config's `loss` section says it."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from abaw_jax.core import choices, errors, labels, numbers
from abaw_jax.data import label_counts
from abaw_jax.models.multi_task import heads
from abaw_jax.tasks import losses

VA_LOSSES = {
    'ccc': losses.ccc_loss,
    'half_ccc': losses.half_ccc_loss,
    'mse': losses.mse_loss,
}
VA_MEANS = ('labelled', 'all')
CLASS_WEIGHT_MEANS = ('weights', 'rows')
AU_WEIGHTS = ('none', 'counts')
# Keys of a `loss` section that `make` reads.
KEYS = (
    'weights', 'va_loss', 'va_mean', 'class_weights', 'class_weight_mean',
    'label_smoothing', 'prior_adjustment', 'au_weights',
)  # fmt: skip

Floats = tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class MultiTaskLoss:
  """The weighted sum of the tasks' losses.

  Attributes:
    weights: factor by task (valence, arousal, expression, au); a task without
      one is neither computed nor returned.
    va_loss: key of VA_LOSSES.
    va_mean: of VA_MEANS: an MSE is divided by the labelled elements, or by all
      there are, labelled or not, padding included.
    class_weights: factor of each expression, None is 1.
    weigh_mean: whether those of its rows divide the cross-entropy, or their
      number does.
    label_smoothing: share of an expression that is spread over all of them.
    class_offsets: added to the logits of the expressions, None is 0.
    positive: factor of each AU where it is present, None is 1.
    negative: factor of each AU where it is absent, None is 1.
  """

  weights: Mapping[str, float]
  va_loss: str = 'ccc'
  va_mean: str = 'labelled'
  class_weights: Floats | None = None
  weigh_mean: bool = True
  label_smoothing: float = 0.0
  class_offsets: Floats | None = None
  positive: Floats | None = None
  negative: Floats | None = None

  def __call__(
      self,
      output: labels.Output,
      batch: labels.FrameBatch | labels.SoftFrameBatch | labels.SequenceBatch,
      *,
      window_length: Int[Array, 'b'] | None = None,
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """Returns the weighted sum of the losses, and each loss unweighted.

    Args:
      output: of the model.
      batch: labels and masks; `expression_probs` takes the place of
        `expression` where there is one.
      window_length: frames of each window without what pads the batch, which
        `va_mean='all'` counts; None counts every element.
    """
    tasks = {
        'valence': (self._va_loss(batch['va'], window_length), 'va'),
        'arousal': (self._va_loss(batch['va'], window_length), 'va'),
        'expression': (self._cross_entropy(), 'expr'),
        'au': (self._bce(), 'au_mask'),
    }
    targets = dict(batch)
    if 'expression_probs' in batch:
      targets['expression'] = batch['expression_probs']
    parts = {}
    total = jnp.zeros([], jnp.float32)
    for task, weight in self.weights.items():
      loss, mask = tasks[task]
      parts[task] = loss(output[task], targets[task], batch[mask])
      total += weight * parts[task]
    return total, parts

  def _va_loss(self, mask, window_length):
    loss = VA_LOSSES[self.va_loss]
    if self.va_mean == 'labelled':
      return loss
    # Reference: AIM3-RUC, the sum of the labelled frames over all frames.
    count = mask.size if window_length is None else jnp.sum(window_length)
    return functools.partial(loss, denominator=jnp.float32(count))

  def _cross_entropy(self):
    return functools.partial(
        losses.cross_entropy,
        weights=_array(self.class_weights),
        weigh_mean=self.weigh_mean,
        smoothing=self.label_smoothing,
        offset=_array(self.class_offsets),
    )

  def _bce(self):
    return functools.partial(
        losses.bce_loss,
        positive=_array(self.positive),
        negative=_array(self.negative),
    )


def make(
    *,
    weights: Mapping[str, float],
    va_loss: str,
    va_mean: str,
    class_weights: str,
    class_weight_mean: str,
    label_smoothing: float,
    prior_adjustment: float,
    au_weights: str,
    counts: label_counts.LabelCounts | None = None,
) -> MultiTaskLoss:
  """Returns the loss of a config's section; the keys are those of base.py.

  Args:
    weights: factor by task.
    va_loss: key of VA_LOSSES.
    va_mean: one of VA_MEANS.
    class_weights: 'none', 'counts' or eight numbers, 'a,b,...'.
    class_weight_mean: one of CLASS_WEIGHT_MEANS.
    label_smoothing: 0 to below 1.
    prior_adjustment: factor of the logarithm of the classes' frequencies.
    au_weights: one of AU_WEIGHTS.
    counts: of the labels that are trained on; None for a loss that is never
      minimised, where they are not known.

  Raises:
    InputError: a value is unknown or out of range.
  """
  for task in weights:
    choices.choose(heads.TASK_DIMS, task, 'loss.weights')
  choices.choose(VA_LOSSES, va_loss, 'loss.va_loss')
  for field, value, known in (
      ('va_mean', va_mean, VA_MEANS),
      ('class_weight_mean', class_weight_mean, CLASS_WEIGHT_MEANS),
      ('au_weights', au_weights, AU_WEIGHTS),
  ):
    choices.choose(dict.fromkeys(known), value, f'loss.{field}')
  if va_mean == 'all' and va_loss != 'mse':
    raise errors.InputError(
        f"config.loss.va_mean=all: {va_loss} is no mean; set va_loss to 'mse' or "
        "va_mean to 'labelled'"
    )
  if not 0 <= label_smoothing < 1:
    raise errors.InputError(
        f'config.loss.label_smoothing={label_smoothing}: give a share from 0 to '
        'below 1'
    )
  loss = MultiTaskLoss(
      weights=weights,
      va_loss=va_loss,
      va_mean=va_mean,
      class_weights=_class_weights(class_weights, counts),
      weigh_mean=class_weight_mean == 'weights',
      label_smoothing=label_smoothing,
  )
  if prior_adjustment and counts:
    offsets = prior_adjustment * np.log(counts.expression_shares())
    loss = dataclasses.replace(loss, class_offsets=tuple(offsets.tolist()))
  if au_weights == 'counts' and counts:
    positive, negative = counts.au_weights()
    loss = dataclasses.replace(
        loss,
        positive=tuple(positive.tolist()),
        negative=tuple(negative.tolist()),
    )
  return loss


def needs_counts(section: Mapping[str, Any]) -> bool:
  """Returns whether a `loss` section asks how often each label is there."""
  by_counts = (section['class_weights'], section['au_weights'])
  return 'counts' in by_counts or bool(section['prior_adjustment'])


def _class_weights(text: str, counts) -> Floats | None:
  """Returns one factor for each expression; None is 1 for all."""
  if text == 'none' or (text == 'counts' and counts is None):
    return None
  if text == 'counts':
    return tuple(counts.class_weights().tolist())
  try:
    weights = tuple(numbers.number(part.strip()) for part in text.split(','))
  except ValueError:
    weights = ()
  if len(weights) != labels.NUM_EXPRESSIONS or min(weights) < 0:
    raise errors.InputError(
        f"config.loss.class_weights={text}: give 'none', 'counts' or "
        f'{labels.NUM_EXPRESSIONS} numbers from 0, separated by commas, in the '
        f'order {", ".join(labels.EXPRESSIONS)}'
    )
  return weights


def _array(values: Floats | None) -> Float[Array, 'k'] | None:
  return None if values is None else jnp.array(values, jnp.float32)
