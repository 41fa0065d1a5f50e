"""The confidence filter: a network that is sure of an expression decides it.

Of the 8th ABAW (EmotiEffLib): where a network that was trained on other faces,
such as AffectNet's, gives one of the seven named expressions more than a
threshold, its expression replaces that of the network in question. Both are
smoothed alike before. `Other` is never taken from it: what it calls so is contempt.
"""

import dataclasses

from jaxtyping import Bool, Float
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.postprocessing import thresholds
from abaw_jax.scoring import predictions

_NAMED = labels.NUM_EXPRESSIONS - 1  # Other is the last


def fit(rows: predictions.Predictions, sure: predictions.Predictions) -> float:
  """Returns the threshold with the largest macro F1 on labelled rows.

  All cuts between distinct confidences are tried; of equally good ones the
  highest is taken, which replaces least. It is 1 where replacing gains nothing.

  Args:
    rows: predictions of the network in question.
    sure: those of the other one, aligned.

  Raises:
    InputError: if no row has an expression.
  """
  if not rows.expr.any():
    raise errors.InputError(
        'the confidence is fitted to expressions, and none of these rows has one; '
        'name predictions of the training split'
    )
  rows, sure = rows.take(rows.expr), sure.take(rows.expr)
  confidence = _confidence(sure)
  order = np.argsort(-confidence, kind='stable')
  confidence = confidence[order]
  classes = np.arange(labels.NUM_EXPRESSIONS)
  old, new, target = (
      values[order, None] == classes
      for values in (
          np.argmax(rows.expression, axis=-1),
          np.argmax(sure.expression[:, :_NAMED], axis=-1),
          rows.target_expression,
      )
  )  # [n, k] each
  calls = _running(old, new)
  hits = _running(old & target, new & target)
  f1 = np.mean(2 * hits / np.maximum(calls + target.sum(axis=0), 1), axis=-1)
  # Cut i replaces the i most confident.
  edges = np.concatenate([[1.0], confidence, [0.0]])
  possible = edges[:-1] - edges[1:] > thresholds.MIN_GAP
  possible[0] = True
  at = int(np.argmax(np.where(possible, f1, -1.0)))
  return float(edges[at] + edges[at + 1]) / 2 if at else 1.0


def apply(
    rows: predictions.Predictions,
    sure: predictions.Predictions,
    threshold: float,
) -> predictions.Predictions:
  """Returns the rows with those expressions replaced that `sure` is sure of.

  Args:
    rows: predictions of the network in question.
    sure: those of the other one, aligned.
    threshold: probability in [0, 1] that must be exceeded.
  """
  named = sure.expression.copy()
  named[:, _NAMED:] = 0
  replaced = _confidence(sure) > threshold
  total = np.where(replaced, named.sum(axis=-1), 1)[:, None]
  return dataclasses.replace(
      rows,
      expression=np.where(replaced[:, None], named / total, rows.expression),
  )


def _confidence(sure: predictions.Predictions) -> Float[np.ndarray, 'n']:
  return sure.expression[:, :_NAMED].max(axis=-1)


def _running(
    old: Bool[np.ndarray, 'n k'], new: Bool[np.ndarray, 'n k']
) -> Float[np.ndarray, 'm k']:
  """Returns column sums with the first 0, 1, .. n rows exchanged."""
  change = new.astype(float) - old
  start = np.zeros([1, change.shape[-1]])
  return old.sum(axis=0) + np.concatenate([start, np.cumsum(change, axis=0)])
