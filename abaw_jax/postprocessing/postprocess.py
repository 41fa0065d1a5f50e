"""All steps after the network, in their order: blend, smooth, calibrate."""

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
  """Parameters of all steps; weights and smoothing by task of blending.TASKS."""

  weights: dict[str, Float[np.ndarray, 'm']]  # of the members, sum 1
  smoothing: dict[str, smoothing.Smoothing]
  bias: Float[np.ndarray, '8']  # added to log probabilities of expressions
  thresholds: Float[np.ndarray, '12']  # of AU probabilities, in (0, 1)
  expr: str = 'logits'  # a key of blending.EXPRESSIONS
  au: str = 'logits'  # a key of blending.AUS

  @classmethod
  def equal_weights(
      cls, num_members: int, *, expr: str = 'logits', au: str = 'logits'
  ) -> Postprocessing:
    """Returns a blend with equal weights and no other step."""
    equal = np.full(num_members, 1 / num_members)
    return cls(
        weights=dict.fromkeys(blending.TASKS, equal),
        smoothing=dict.fromkeys(blending.TASKS, smoothing.Smoothing()),
        bias=np.zeros(labels.NUM_EXPRESSIONS),
        thresholds=np.full(labels.NUM_AUS, 0.5),
        expr=expr,
        au=au,
    )

  def apply(
      self, members: Sequence[predictions.Predictions]
  ) -> predictions.Predictions:
    """Returns the final predictions of aligned members with complete videos.

    Raises:
      InputError: there are more or fewer members than weights.
    """
    count = len(self.weights['va'])
    if len(members) != count:
      raise errors.InputError(
          f'the postprocessing blends {count} members, but {len(members)} are '
          'given; give the same models in the same order'
      )
    rows = blending.blend(members, self.weights, expr=self.expr, au=self.au)
    rows = smooth(rows, self.smoothing)
    return dataclasses.replace(
        rows,
        expression=calibration.apply(rows.expression, self.bias),
        au=thresholds.apply(rows.au, self.thresholds),
    )


def smooth(
    rows: predictions.Predictions,
    windows: Mapping[str, smoothing.Smoothing],
) -> predictions.Predictions:
  """Returns the predictions with each task of `windows` smoothed over its videos."""
  none = smoothing.Smoothing()
  timeline = smoothing.Timeline.from_rows(rows)
  va = np.stack([rows.valence, rows.arousal], axis=-1)
  va = smoothing.smooth(va, timeline, windows.get('va', none))
  expression = smoothing.smooth(
      rows.expression, timeline, windows.get('expr', none)
  )
  # Medians of the classes do not sum to 1, and may all be 0.
  total = expression.sum(axis=-1, keepdims=True)
  positive = total > 0
  return dataclasses.replace(
      rows,
      valence=va[:, 0],
      arousal=va[:, 1],
      expression=np.where(
          positive, expression / np.where(positive, total, 1), rows.expression
      ),
      au=smoothing.smooth(rows.au, timeline, windows.get('au', none)),
  )
