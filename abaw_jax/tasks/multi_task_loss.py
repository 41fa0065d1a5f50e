"""The multi-task loss, built from the `loss` section of a config."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int
import numpy as np

from abaw_jax.core import choices, errors, labels
from abaw_jax.data import label_counts
from abaw_jax.models.multi_task import heads
from abaw_jax.tasks import losses

VA_LOSSES = {
    'ccc': losses.ccc_loss,
    'half_ccc': losses.half_ccc_loss,
    'mse': losses.mse_loss,
}
VA_MEANS = ('labelled', 'all')
CLASS_WEIGHT_MEANS = ('weights', 'rows', 'product')
AU_WEIGHTS = TASK_WEIGHTS = ('none', 'counts')
VA_WEIGHTS = ('none', *label_counts.VA_WEIGHTS)
# Losses of action units, with their further arguments as keys of the section.
AU_LOSSES = {
    'bce': (losses.bce_loss, {}),
    'focal': (losses.focal_loss, {'gamma': 'focal_gamma'}),
    'asymmetric': (
        losses.asymmetric_loss,
        {
            'gamma_pos': 'asymmetric_gamma_pos',
            'gamma_neg': 'asymmetric_gamma_neg',
            'clip': 'asymmetric_clip',
        },
    ),
}
MASKED_ROWS = ('left_out', 'zeros')
# A logit whose loss is 0 where the label is 0.
_ABSENT = -100.0
# Keys of the `loss` section that `make` reads.
KEYS = (
    'weights', 'va_loss', 'va_mean', 'class_weights', 'class_weight_mean',
    'label_smoothing', 'prior_adjustment', 'au_weights', 'task_weights',
    'masked_rows', 'pseudo_weight', 'au_loss', 'focal_gamma', 'va_weights',
    'asymmetric_gamma_pos', 'asymmetric_gamma_neg', 'asymmetric_clip',
    'va_density_sigma',
)  # fmt: skip

Floats = tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class MultiTaskLoss:
  """The weighted sum of the losses of all tasks.

  Attributes:
    weights: factor of each task (valence, arousal, expression, au); a task
      without a factor is not computed.
    va_loss: a key of VA_LOSSES.
    va_mean: one of VA_MEANS; an MSE is divided by the number of 'labelled'
      elements, or of 'all' elements including padding.
    class_weights: factor of each expression; None means 1.
    class_weight_mean: one of CLASS_WEIGHT_MEANS, see `losses.cross_entropy`.
    label_smoothing: see `losses.cross_entropy`.
    class_offsets: added to the logits of the expressions; None means 0.
    positive: factor of each AU where it is present; None means 1.
    negative: factor of each AU where it is absent; None means 1.
    masked_rows: one of MASKED_ROWS; rows without a label are left out of the
      loss of a task, or count as outputs and labels of 0.
    au_loss: a key of AU_LOSSES.
    au_options: its further arguments.
    va_weights: weight of each bin of 'valence' and 'arousal', see
      `label_counts.va_bin`; None means 1.
    pseudo_weight: factor of the loss of pseudo-labels, which is added to the rest.
  """

  weights: Mapping[str, float]
  va_loss: str = 'ccc'
  va_mean: str = 'labelled'
  class_weights: Floats | None = None
  class_weight_mean: str = 'weights'
  label_smoothing: float = 0.0
  class_offsets: Floats | None = None
  positive: Floats | None = None
  negative: Floats | None = None
  masked_rows: str = 'left_out'
  au_loss: str = 'bce'
  au_options: Mapping[str, float] = dataclasses.field(default_factory=dict)
  va_weights: Mapping[str, Floats] | None = None
  pseudo_weight: float = 1.0

  def __call__(
      self,
      output: labels.Output,
      batch: labels.FrameBatch | labels.SoftFrameBatch | labels.SequenceBatch,
      *,
      window_length: Int[Array, 'b'] | None = None,
  ) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
    """Returns (weighted sum of the losses, each loss without its weight).

    Args:
      output: output of the model.
      batch: labels and masks; `expression_probs` replaces `expression` if
        present.
      window_length: frames of each window without the padding of the batch,
        which `va_mean='all'` counts; None counts all elements.
    """
    tasks = {
        'valence': self._va_loss('valence', batch, window_length),
        'arousal': self._va_loss('arousal', batch, window_length),
        'expression': functools.partial(
            losses.cross_entropy,
            class_weights=_array(self.class_weights),
            class_weight_mean=self.class_weight_mean,
            label_smoothing=self.label_smoothing,
            class_offsets=_array(self.class_offsets),
        ),
        'au': functools.partial(
            AU_LOSSES[self.au_loss][0],
            positive=_array(self.positive),
            negative=_array(self.negative),
            **self.au_options,
        ),
    }
    targets = dict(batch)
    if 'expression_probs' in batch:
      targets['expression'] = batch['expression_probs']
    parts = {}
    total = jnp.zeros([], jnp.float32)
    for task, weight in self.weights.items():
      compared = output[task], targets[task], batch[labels.MASKS[task]]
      if self.masked_rows == 'zeros':
        frames = batch['frame_mask' if 'frame_mask' in batch else 'real']
        compared = _with_zeros(task, *compared, frames)
      pseudo = batch.get(labels.PSEUDO[labels.MASKS[task]])
      if pseudo is None or self.masked_rows == 'zeros':
        parts[task] = tasks[task](*compared)
      else:
        *values, mask = compared
        parts[task] = tasks[task](*values, mask & ~pseudo)
        parts[task] += self.pseudo_weight * tasks[task](*values, mask & pseudo)
      total += weight * parts[task]
    return total, parts

  def _va_loss(self, task, batch, window_length):
    options = {}
    if self.va_weights is not None and task in self.weights:
      bins = label_counts.va_bin(batch[task])
      options['weights'] = _array(self.va_weights[task])[bins]
    if self.va_mean == 'all':
      # Reference: AIM3-RUC divides the sum over labelled frames by all frames.
      mask = batch['va']
      count = mask.size if window_length is None else jnp.sum(window_length)
      options['denominator'] = jnp.float32(count)
    return functools.partial(VA_LOSSES[self.va_loss], **options)


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
    task_weights: str = 'none',
    masked_rows: str = 'left_out',
    au_loss: str = 'bce',
    va_weights: str = 'none',
    va_density_sigma: float = 0.1,
    pseudo_weight: float = 1.0,
    counts: label_counts.LabelCounts | None = None,
    **au_options: float,
) -> MultiTaskLoss:
  """Returns the loss of a `loss` section; configs/losses.py explains the keys.

  `counts` are the label counts of the training data; None, if unknown, for a
  loss that is not minimised. `au_options` are the keys of all losses of AUs. An
  unknown value raises an InputError.
  """
  for task in weights:
    choices.choose(heads.TASK_DIMS, task, 'loss.weights')
  choices.choose(VA_LOSSES, va_loss, 'loss.va_loss')
  for field, value, known in (
      ('va_mean', va_mean, VA_MEANS),
      ('class_weight_mean', class_weight_mean, CLASS_WEIGHT_MEANS),
      ('au_weights', au_weights, AU_WEIGHTS),
      ('task_weights', task_weights, TASK_WEIGHTS),
      ('masked_rows', masked_rows, MASKED_ROWS),
      ('au_loss', au_loss, AU_LOSSES),
      ('va_weights', va_weights, VA_WEIGHTS),
  ):
    choices.choose(dict.fromkeys(known), value, f'loss.{field}')
  if va_mean == 'all' and va_loss != 'mse':
    raise errors.InputError(
        f'config.loss.va_mean=all: {va_loss} is not a mean; set va_loss to '
        "'mse' or va_mean to 'labelled'"
    )
  if va_weights != 'none' and masked_rows == 'zeros':
    raise errors.InputError(
        f'config.loss.va_weights={va_weights}: rows without a label have no weight, '
        "but masked_rows is 'zeros'; set it to 'left_out', or va_weights to 'none'"
    )
  if pseudo_weight != 1 and masked_rows == 'zeros':
    raise errors.InputError(
        f'config.loss.pseudo_weight={pseudo_weight}: needs '
        'config.loss.masked_rows=left_out, or a weight of 1'
    )
  offsets = positive = negative = density = None
  if prior_adjustment and counts:
    offsets = prior_adjustment * np.log(counts.expression_shares())
  if au_weights == 'counts' and counts:
    positive, negative = counts.au_weights()
  if va_weights != 'none' and counts:
    density = counts.va_weights(va_weights, va_density_sigma)
    density = {task: _floats(values) for task, values in density.items()}
  if task_weights == 'counts' and counts:
    factors = counts.task_weights()
    weights = {task: weight * factors[task] for task, weight in weights.items()}
  return MultiTaskLoss(
      weights=weights,
      va_loss=va_loss,
      va_mean=va_mean,
      class_weights=_floats(label_counts.class_weights(class_weights, counts)),
      class_weight_mean=class_weight_mean,
      label_smoothing=label_smoothing,
      class_offsets=_floats(offsets),
      positive=_floats(positive),
      negative=_floats(negative),
      masked_rows=masked_rows,
      au_loss=au_loss,
      au_options={
          name: au_options[key] for name, key in AU_LOSSES[au_loss][1].items()
      },
      va_weights=density,
      pseudo_weight=pseudo_weight,
  )


def needs_counts(section: Mapping[str, Any]) -> bool:
  """Returns whether a `loss` section needs label counts."""
  chosen = {
      section[key]
      for key in ('class_weights', 'au_weights', 'task_weights')
      if key in section
  }
  by_counts = not chosen.isdisjoint(label_counts.CLASS_WEIGHTS)
  by_density = section.get('va_weights', 'none') != 'none'
  return by_counts or by_density or bool(section['prior_adjustment'])


def _with_zeros(task: str, pred, target, mask, frames):
  """Returns outputs and labels that are 0 where masked, and the mask of frames.

  Reference: the joint model of HSE-NN multiplies outputs and labels by masks. A
  masked row then has a cross-entropy of log 8 and a binary cross-entropy of 0,
  without gradients, but it counts in the means, and in the CCC as the pair (0, 0).
  """
  fill = _ABSENT if task == 'au' else 0.0  # a probability of 0, equal logits
  wide = mask if mask.ndim == pred.ndim else mask[..., None]
  known = mask if mask.ndim == target.ndim else mask[..., None]
  frames = frames if frames.ndim == mask.ndim else frames[..., None]
  return (
      jnp.where(wide, pred, fill),
      jnp.where(known, target, 0),
      jnp.broadcast_to(frames, mask.shape),
  )


def _floats(values: np.ndarray | None) -> Floats | None:
  return None if values is None else tuple(values.tolist())


def _array(values: Floats | None) -> Float[Array, 'k'] | None:
  return None if values is None else jnp.array(values, jnp.float32)
