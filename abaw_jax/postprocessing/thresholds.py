"""Thresholds of AUs: the exact optimum, and probabilities that include it."""

from jaxtyping import Bool, Float, Int, Integer
import numpy as np

# Closer values count as one value, because they differ by rounding.
MIN_GAP = 1e-9


def fit(
    prob: Float[np.ndarray, 'n k'],
    target: Integer[np.ndarray, 'n k'],
    mask: Bool[np.ndarray, 'n k'],
) -> Float[np.ndarray, 'k']:
  """Returns the threshold of each AU with the largest F1 on these rows.

  All thresholds between distinct probabilities are tried. Of equally good ones the
  nearest to 0.5 is returned; it is 0.5 if the AU is absent in all labelled rows.
  """
  columns = zip(prob.T, target.T, mask.T, strict=True)
  return np.array([best_cut(p[m], t[m] == 1)[0] for p, t, m in columns])


def best_cut(
    prob: Float[np.ndarray, 'n'], target: Bool[np.ndarray, 'n']
) -> tuple[float, float]:
  """Returns the best threshold in (0, 1) and its F1, or (0.5, 0) if none helps."""
  order = np.argsort(prob, kind='stable')
  p, t = prob[order].astype(np.float64), target[order]
  if not t.any():
    return 0.5, 0.0
  # Cut i predicts that rows i.. are present. Cut 0 predicts it for all rows.
  below = np.concatenate([[0.0], p[:-1]])
  possible = p - below > MIN_GAP
  if not possible.any():
    return 0.5, 0.0
  cuts = (p + below) / 2
  hits = np.cumsum(t[::-1])[::-1]
  predicted = np.arange(len(p), 0, -1)
  f1 = np.where(possible, 2 * hits / (predicted + t.sum()), -1.0)
  best = np.flatnonzero(f1 == f1.max())
  at = best[np.argmin(np.abs(cuts[best] - 0.5))]
  return float(cuts[at]), float(f1[at])


def f1_while_replacing(
    old: Int[np.ndarray, 'n'],
    new: Int[np.ndarray, 'n'],
    target: Int[np.ndarray, 'n'],
    num_classes: int,
) -> Float[np.ndarray, 'n+1']:
  """Returns the macro F1 after the first 0, 1, .. n classes are replaced."""
  old, new, target = (
      ids[:, None] == np.arange(num_classes) for ids in (old, new, target)
  )  # [n, k] each

  def counts(before, after):
    changes = np.cumsum(after.astype(int) - before, axis=0)
    return before.sum(axis=0) + np.pad(changes, ((1, 0), (0, 0)))

  hits, predicted = counts(old & target, new & target), counts(old, new)
  sizes = np.maximum(predicted + target.sum(axis=0), 1)
  return np.mean(2 * hits / sizes, axis=-1)


def apply(
    prob: Float[np.ndarray, 'n k'], thresholds: Float[np.ndarray, 'k']
) -> Float[np.ndarray, 'n k']:
  """Returns probabilities that are >= 0.5 exactly where prob >= thresholds.

  The odds of each AU are divided by the odds of its threshold, as for another
  frequency of the AU. Probabilities of 0 and 1 do not change.
  """
  present = prob * (1 - thresholds)
  return present / (present + (1 - prob) * thresholds)
