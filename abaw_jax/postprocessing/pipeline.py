"""What is done to predictions behind the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses

from jaxtyping import Float
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.postprocessing import blending, calibration, smoothing, thresholds
from abaw_jax.scoring import predictions


@dataclasses.dataclass(frozen=True, eq=False)
class Postprocessing:
  """Blend, then smooth, then calibrate; `apply` does all of it.

  Weights and smoothing are by task of blending.TASKS.
  """

  weights: dict[str, Float[np.ndarray, 'm']]  # of the members, sum 1
  smoothing: dict[str, smoothing.Smoothing]
  bias: Float[np.ndarray, '8']  # added to log probabilities of expressions
  thresholds: Float[np.ndarray, '12']  # of AU probabilities, in (0, 1)
  expr: str = 'logits'  # a key of blending.EXPRESSIONS
  au: str = 'logits'  # a key of blending.AUS

  @classmethod
  def plain(
      cls, members: int, *, expr: str = 'logits', au: str = 'logits'
  ) -> Postprocessing:
    """Returns equal weights and nothing else; of one member: no change."""
    equal = np.full(members, 1 / members)
    return cls(
        weights=dict.fromkeys(blending.TASKS, equal),
        smoothing=dict.fromkeys(blending.TASKS, smoothing.Smoothing()),
        bias=np.zeros(labels.NUM_EXPRESSIONS),
        thresholds=np.full(labels.NUM_AUS, 0.5),
        expr=expr,
        au=au,
    )


def apply(
    how: Postprocessing, members: Sequence[predictions.Predictions]
) -> predictions.Predictions:
  """Returns the final predictions of aligned members, whole videos each.

  Raises:
    InputError: if it was fitted to another number of members.
  """
  count = len(how.weights['va'])
  if len(members) != count:
    raise errors.InputError(
        f'the postprocessing blends {count} members; {len(members)} are given: '
        'name the same models in the same order'
    )
  rows = blending.blend(members, how.weights, expr=how.expr, au=how.au)
  rows = smooth(rows, how.smoothing)
  return dataclasses.replace(
      rows,
      expression=calibration.apply(rows.expression, how.bias),
      au=thresholds.apply(rows.au, how.thresholds),
  )


def smooth(
    rows: predictions.Predictions,
    how: Mapping[str, smoothing.Smoothing],
) -> predictions.Predictions:
  """Returns the predictions with each task smoothed over its videos."""
  timeline = smoothing.Timeline.of(rows)
  va = np.stack([rows.valence, rows.arousal], axis=-1)
  va = smoothing.smooth(va, timeline, how['va'])
  expression = smoothing.smooth(rows.expression, timeline, how['expr'])
  # Medians of the classes do not add up to 1, and may all be 0.
  total = expression.sum(axis=-1, keepdims=True)
  some = total > 0
  return dataclasses.replace(
      rows,
      valence=va[:, 0],
      arousal=va[:, 1],
      expression=np.where(
          some, expression / np.where(some, total, 1), rows.expression
      ),
      au=smoothing.smooth(rows.au, timeline, how['au']),
  )
