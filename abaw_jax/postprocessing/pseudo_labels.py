"""Pseudo-labels: confident predictions of an ensemble, where labels are missing."""

from collections.abc import Sequence
import dataclasses

from jaxtyping import Bool
import numpy as np

from abaw_jax.core import errors
from abaw_jax.postprocessing import blending, postprocess
from abaw_jax.scoring import predictions


@dataclasses.dataclass(frozen=True)
class Limits:
  """When a blend is confident; all members must also agree on classes.

  Attributes:
    expression: least probability of the most probable expression.
    au: least probability of an AU, or of its absence.
    va_std: largest standard deviation of valence, and of arousal, over members.
  """

  expression: float
  au: float
  va_std: float


def select(
    members: Sequence[predictions.Predictions],
    names: Sequence[str],
    limits: Limits,
) -> predictions.Predictions:
  """Returns the blend of the members, with pseudo-labels in place of its labels.

  The masks are True where a label is new: the blend is confident and no member has a
  true label. Frame models and temporal models may have other labels of a frame that
  the list repeats.

  Args:
    members: predictions of the same rows.
    names: of the members, for messages.
    limits: when a prediction becomes a label.

  Raises:
    InputError: there is one member, or they have other rows.
  """
  if len(members) < 2:
    raise errors.InputError(
        f'--predictions={names[0]}: one member cannot agree with others; give the '
        'files of two or more models'
    )
  members = blending.align(members, names, same_labels=False)
  blend = postprocess.Postprocessing.equal_weights(
      len(members), expr='probabilities', au='probabilities'
  ).apply(members)
  classes = np.stack([member.expression.argmax(-1) for member in members])
  present = np.stack([member.au >= 0.5 for member in members])
  va = np.stack([[m.valence, m.arousal] for m in members])  # [m, 2, n]
  expr = (classes == classes[0]).all(0)
  expr &= blend.expression.max(-1) >= limits.expression
  au = (present == present[0]).all(0)
  au &= np.maximum(blend.au, 1.0 - blend.au) >= limits.au  # False for NaN
  close = (va.std(axis=0, ddof=1) <= limits.va_std).all(0)
  return dataclasses.replace(
      blend,
      target_valence=np.clip(blend.valence, -1.0, 1.0),
      target_arousal=np.clip(blend.arousal, -1.0, 1.0),
      target_expression=blend.expression.argmax(-1),
      target_au=(blend.au >= 0.5).astype(np.int8),
      va=close & ~_known(members, 'va'),
      expr=expr & ~_known(members, 'expr'),
      au_mask=au & ~_known(members, 'au_mask'),
  )


def _known(
    members: Sequence[predictions.Predictions], mask: str
) -> Bool[np.ndarray, 'n *k']:
  """Returns where any member has a true label."""
  return np.any([getattr(member, mask) for member in members], axis=0)


def summary(rows: predictions.Predictions) -> list[str]:
  """Returns lines with the number of pseudo-labels of each kind."""
  count = len(rows.row)
  counts = np.bincount(rows.target_expression[rows.expr], minlength=8)
  return [
      f'valence and arousal: {rows.va.sum():,} of {count:,} rows',
      f'expressions: {rows.expr.sum():,} of {count:,} rows, by class '
      + ' '.join(f'{number:,}' for number in counts),
      f'action units: {rows.au_mask.sum():,} labels on '
      f'{rows.au_mask.any(-1).sum():,} rows, '
      f'{rows.target_au[rows.au_mask].sum():,} of them present',
  ]
