"""The confidence filter: a second network decides confident expressions.

From EmotiEffLib at the 8th ABAW. The second network was trained on other faces,
such as AffectNet. Where it gives one of the seven named expressions a probability
above a threshold, its expression replaces that of the main network. Both are
smoothed in the same way before. `Other` never replaces an expression, because for
the second network it means contempt.
"""

import dataclasses

from jaxtyping import Float
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.postprocessing import thresholds
from abaw_jax.scoring import predictions

_NAMED = labels.NUM_EXPRESSIONS - 1  # the last expression is Other


def fit(
    rows: predictions.Predictions, second: predictions.Predictions
) -> float:
  """Returns the threshold with the largest macro F1 on labelled, aligned rows.

  All thresholds between distinct confidences are tried. Of equally good ones the
  highest is returned, which replaces least; it is 1 if replacing gains nothing.

  Raises:
    InputError: no row has an expression label.
  """
  if not rows.expr.any():
    raise errors.InputError(
        'the confidence is fitted to labelled expressions, but no row has one; '
        'give predictions of the training split'
    )
  rows, second = rows.take(rows.expr), second.take(rows.expr)
  confidence = _confidence(second)
  order = np.argsort(-confidence, kind='stable')
  confidence = confidence[order]
  f1 = thresholds.f1_while_replacing(
      np.argmax(rows.expression, axis=-1)[order],
      np.argmax(second.expression[:, :_NAMED], axis=-1)[order],
      rows.target_expression[order],
      labels.NUM_EXPRESSIONS,
  )
  # Threshold i replaces the i most confident rows.
  edges = np.concatenate([[1.0], confidence, [0.0]])
  possible = edges[:-1] - edges[1:] > thresholds.MIN_GAP
  possible[0] = True
  at = int(np.argmax(np.where(possible, f1, -1.0)))
  return float(edges[at] + edges[at + 1]) / 2 if at else 1.0


def apply(
    rows: predictions.Predictions,
    second: predictions.Predictions,
    threshold: float,
) -> predictions.Predictions:
  """Returns the rows with expressions of `second` above a probability."""
  named = second.expression.copy()
  named[:, _NAMED:] = 0
  replaced = _confidence(second) > threshold
  total = np.where(replaced, named.sum(axis=-1), 1)[:, None]
  return dataclasses.replace(
      rows,
      expression=np.where(replaced[:, None], named / total, rows.expression),
  )


def _confidence(second: predictions.Predictions) -> Float[np.ndarray, 'n']:
  return second.expression[:, :_NAMED].max(axis=-1)
