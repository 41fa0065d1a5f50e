"""A bias per expression, added to the logarithm of its probability.

Four ways to it: from labels by the score itself (`f1_bias`) or by how frequent
classes are (`prior_bias`), and from priors without labels of the rows: a known
shift (`shift_bias`) or one estimated from the predictions (`em_prior`).
"""

from jaxtyping import Float, Int
import numpy as np

from abaw_jax.postprocessing import thresholds

_FLOOR = 1e-12  # of a probability before its logarithm
_GAIN = 1e-9  # a move must gain more than rounding


def apply(
    prob: Float[np.ndarray, 'n k'], bias: Float[np.ndarray, 'k']
) -> Float[np.ndarray, 'n k']:
  """Returns the probabilities with their odds multiplied by exp(bias)."""
  # Relative to the largest, so that nothing overflows.
  weighted = prob * np.exp(bias - bias.max())
  total = weighted.sum(axis=-1, keepdims=True)
  return np.where(total > 0, weighted / np.where(total > 0, total, 1), prob)


def none(
    prob: Float[np.ndarray, 'n k'], target: Int[np.ndarray, 'n']
) -> Float[np.ndarray, 'k']:
  """Returns no bias."""
  return np.zeros(prob.shape[-1])


def f1_bias(
    prob: Float[np.ndarray, 'n k'],
    target: Int[np.ndarray, 'n'],
    *,
    sweeps: int = 20,
) -> Float[np.ndarray, 'k']:
  """Returns the bias with the largest macro F1 that a coordinate search finds.

  One class after the other gets the exactly best bias given those of the others,
  until a sweep over all of them gains nothing. The sum of the bias is 0. The
  targets are class ids of labelled rows only.
  """
  count = prob.shape[-1]
  logs = np.log(np.maximum(prob, _FLOOR))
  bias = np.zeros(count)
  best = macro_f1(np.argmax(logs, axis=-1), target, count)
  for _ in range(sweeps):
    before = best
    for k in range(count):
      value, score = _best_bias(logs + bias, logs[:, k], target, k)
      if score > best + _GAIN:
        bias[k], best = value, score
    if best == before:
      break
  return bias - bias.mean()


def prior_bias(
    prob: Float[np.ndarray, 'n k'],
    target: Int[np.ndarray, 'n'],
    *,
    rounds: int = 200,
    tolerance: float = 1e-6,
) -> Float[np.ndarray, 'k']:
  """Returns the bias with which classes are as probable as they are frequent.

  The mean probability of each class becomes its share of the targets, one added
  to each count: the fixed point of Sinkhorn and Knopp's (1967) scaling. Of the
  same number of parameters as `f1_bias`, but far less free to fit noise.
  """
  counts = np.bincount(target, minlength=prob.shape[-1]) + 1.0
  prior = counts / counts.sum()
  bias = np.zeros(prob.shape[-1])
  for _ in range(rounds):
    step = np.log(prior / np.maximum(apply(prob, bias).mean(axis=0), _FLOOR))
    bias += step
    if np.abs(step).max() < tolerance:
      break
  return bias - bias.mean()


def shift_bias(
    source: Float[np.ndarray, 'k'], target: Float[np.ndarray, 'k']
) -> Float[np.ndarray, 'k']:
  """Returns the bias that turns posteriors under one prior into another's."""
  return np.log(target) - np.log(source)


def em_prior(
    prob: Float[np.ndarray, 'n k'],
    source: Float[np.ndarray, 'k'],
    *,
    rounds: int = 1000,
    tolerance: float = 1e-9,
) -> Float[np.ndarray, 'k']:
  """Returns how frequent the classes are among rows without labels.

  Expectation maximisation of Saerens, Latinne and Decaestecker (2002).

  Args:
    prob: posteriors of a model that was trained where classes are `source`.
    source: frequencies of the classes there.
    rounds: the most steps.
    tolerance: the change of a frequency that ends it.
  """
  prior = source.astype(np.float64)
  for _ in range(rounds):
    new = apply(prob, shift_bias(source, np.maximum(prior, _FLOOR))).mean(
        axis=0
    )
    moved = np.abs(new - prior).max()
    prior = new
    if moved < tolerance:
      break
  return prior


def macro_f1(
    pred: Int[np.ndarray, 'n'], target: Int[np.ndarray, 'n'], count: int
) -> float:
  """Returns the mean F1 of `count` classes; an absent one counts 0."""
  pairs = np.bincount(target * count + pred, minlength=count * count)
  pairs = pairs.reshape(count, count)
  size = pairs.sum(axis=0) + pairs.sum(axis=1)
  return float(np.mean(2 * np.diagonal(pairs) / np.maximum(size, 1)))


def _best_bias(
    scores: Float[np.ndarray, 'n k'],
    log_prob: Float[np.ndarray, 'n'],
    target: Int[np.ndarray, 'n'],
    k: int,
) -> tuple[float, float]:
  """Returns the best bias of class k and its macro F1, the others fixed.

  A row is called k if its bias exceeds what the best other class is ahead. In
  the order of that, one row after the other changes sides.
  """
  count = scores.shape[-1]
  others = scores.copy()
  others[:, k] = -np.inf
  rival = np.argmax(others, axis=-1)
  ahead = others[np.arange(len(rival)), rival] - log_prob
  order = np.argsort(ahead, kind='stable')
  ahead, rival, target = ahead[order], rival[order], target[order]
  calls = (rival[:, None] == np.arange(count)).astype(np.int64)  # [n, k]
  hits = calls * (target == rival)[:, None]
  # What changes when row i comes over to class k.
  new_calls, new_hits = -calls, -hits
  new_calls[:, k], new_hits[:, k] = 1, target == k
  start = np.zeros([1, count], np.int64)
  calls = calls.sum(axis=0) + np.concatenate([start, new_calls.cumsum(axis=0)])
  hits = hits.sum(axis=0) + np.concatenate([start, new_hits.cumsum(axis=0)])
  present = np.bincount(target, minlength=count)
  f1 = np.mean(2 * hits / np.maximum(calls + present, 1), axis=-1)  # [n + 1]
  edges = np.concatenate([[ahead[0] - 2], ahead, [ahead[-1] + 2]])
  possible = np.diff(edges) > thresholds.MIN_GAP
  at = int(np.argmax(np.where(possible, f1, -1.0)))
  return float(edges[at] + edges[at + 1]) / 2, float(f1[at])


# What fits a bias, by name.
BIASES = {'none': none, 'f1': f1_bias, 'prior': prior_bias}
