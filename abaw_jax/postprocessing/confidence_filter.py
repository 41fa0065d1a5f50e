"""The confidence filter: a second network decides confident expressions.

From EmotiEffLib at the 8th ABAW. The second network was trained on other faces,
such as AffectNet. Where it gives one of the seven named expressions a probability
above a threshold, its expression replaces that of the main network. Both are
smoothed in the same way before. `Other` never replaces an expression, because for
the second network it means contempt.
"""

import dataclasses

from jaxtyping import Bool, Float
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.postprocessing import thresholds
from abaw_jax.scoring import predictions

_NAMED = labels.NUM_EXPRESSIONS - 1  # the last expression is Other


def fit(
    rows: predictions.Predictions, second: predictions.Predictions
) -> float:
  """Returns the threshold with the largest macro F1 on labelled rows.

  All thresholds between distinct confidences are tried. Of equally good ones the
  highest is returned, which replaces least; it is 1 if replacing gains nothing.

  Args:
    rows: predictions of the main network.
    second: aligned predictions of the second network.

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
  classes = np.arange(labels.NUM_EXPRESSIONS)
  old, new, target = (
      values[order, None] == classes
      for values in (
          np.argmax(rows.expression, axis=-1),
          np.argmax(second.expression[:, :_NAMED], axis=-1),
          rows.target_expression,
      )
  )  # [n, k] each
  predicted = _running(old, new)
  hits = _running(old & target, new & target)
  f1 = np.mean(
      2 * hits / np.maximum(predicted + target.sum(axis=0), 1), axis=-1
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
  """Returns the rows with the confident expressions of the second network.

  Args:
    rows: predictions of the main network.
    second: aligned predictions of the second network.
    threshold: an expression with a probability above it replaces that of `rows`.
  """
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


def _running(
    old: Bool[np.ndarray, 'n k'], new: Bool[np.ndarray, 'n k']
) -> Float[np.ndarray, 'm k']:
  """Returns column sums of `old` after the first 0, 1, .. n rows are replaced."""
  change = new.astype(float) - old
  start = np.zeros([1, change.shape[-1]])
  return old.sum(axis=0) + np.concatenate([start, np.cumsum(change, axis=0)])
