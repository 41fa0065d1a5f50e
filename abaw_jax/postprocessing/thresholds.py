"""A threshold per AU: found exactly, and taken into the probabilities."""

from jaxtyping import Bool, Float, Integer
import numpy as np

# Values closer than this are one value: no cut goes between roundings.
MIN_GAP = 1e-9


def fit(
    prob: Float[np.ndarray, 'n k'],
    target: Integer[np.ndarray, 'n k'],
    mask: Bool[np.ndarray, 'n k'],
) -> Float[np.ndarray, 'k']:
  """Returns the threshold of each AU with the largest F1 on these rows.

  All cuts between distinct probabilities are tried; of equally good ones the
  nearest to 0.5 is taken, and 0.5 where no usable row shows the AU. Only entries
  whose mask is True count; there the target is 0 or 1.
  """
  columns = zip(prob.T, target.T, mask.T, strict=True)
  return np.array([best_cut(p[m], t[m] == 1)[0] for p, t, m in columns])


def best_cut(
    prob: Float[np.ndarray, 'n'], target: Bool[np.ndarray, 'n']
) -> tuple[float, float]:
  """Returns the best threshold in (0, 1) and its F1; (0.5, 0) if there is none."""
  order = np.argsort(prob, kind='stable')
  p, t = prob[order].astype(np.float64), target[order]
  if not t.any():
    return 0.5, 0.0
  # Cut i calls rows i.. present. Below the smallest value everything is.
  below = np.concatenate([[0.0], p[:-1]])
  possible = p - below > MIN_GAP
  if not possible.any():
    return 0.5, 0.0
  cuts = (p + below) / 2
  hits = np.cumsum(t[::-1])[::-1]
  called = np.arange(len(p), 0, -1)
  f1 = np.where(possible, 2 * hits / (called + t.sum()), -1.0)
  best = np.flatnonzero(f1 == f1.max())
  at = best[np.argmin(np.abs(cuts[best] - 0.5))]
  return float(cuts[at]), float(f1[at])


def apply(
    prob: Float[np.ndarray, 'n k'], thresholds: Float[np.ndarray, 'k']
) -> Float[np.ndarray, 'n k']:
  """Returns probabilities of which >= 0.5 says what prob >= thresholds said.

  The prior odds of each AU are divided by those of its threshold, as for
  another frequency of the AU; 0 and 1 stay what they are.
  """
  for_it = prob * (1 - thresholds)
  return for_it / (for_it + (1 - prob) * thresholds)
