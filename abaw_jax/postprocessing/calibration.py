"""A bias per expression, added to the logarithm of its probability.

It is fitted to labels: for the best macro F1 (`f1_bias`), so that classes are
predicted as often as they are labelled (`prior_bias`), or for the best macro F1 of the
biases -tau log(class frequency), which have one parameter (`tau_bias`).
"""

from jaxtyping import Float, Int
import numpy as np

from abaw_jax.postprocessing import blending, thresholds
from abaw_jax.scoring import metrics

_SWEEPS = 20  # at most, over all classes
_ROUNDS = 200  # at most
_TOLERANCE = 1e-6  # a smaller change of the bias ends the rounds
# Values of tau, from the nearest to 0: of equally good ones the first is chosen. A
# model that was trained with logit adjustment may need a negative one.
TAUS = tuple(sorted((i / 20 for i in range(-20, 61)), key=abs))


def apply(
    prob: Float[np.ndarray, 'n k'], bias: Float[np.ndarray, 'k']
) -> Float[np.ndarray, 'n k']:
  """Returns the probabilities with their odds multiplied by exp(bias)."""
  # Relative to the largest, so that nothing overflows.
  weighted = prob * np.exp(bias - bias.max())
  total = weighted.sum(axis=-1, keepdims=True)
  return np.where(total > 0, weighted / np.where(total > 0, total, 1), prob)


def f1_bias(
    prob: Float[np.ndarray, 'n k'], target: Int[np.ndarray, 'n']
) -> Float[np.ndarray, 'k']:
  """Returns the bias with the largest macro F1, by coordinate search.

  Each class in turn gets the exact best bias for the current biases of the other
  classes, until a sweep over all classes gains nothing. The biases sum to 0.
  """
  count = prob.shape[-1]
  logs = np.log(np.maximum(prob, blending.FLOOR))
  bias = np.zeros(count)
  pred = np.argmax(logs, axis=-1)
  best = metrics.macro_f1(pred, target, num_classes=count)
  for _ in range(_SWEEPS):
    before = best
    for k in range(count):
      value, score = _best_bias(logs + bias, logs[:, k], target, k)
      if score > best + blending.GAIN:
        bias[k], best = value, score
    if best == before:
      break
  return bias - bias.mean()


def prior_bias(
    prob: Float[np.ndarray, 'n k'], target: Int[np.ndarray, 'n']
) -> Float[np.ndarray, 'k']:
  """Returns the bias that makes mean probabilities equal to label frequencies.

  The mean probability of each class becomes its share of the targets, with one
  added to each count: the fixed point of the scaling of Sinkhorn and Knopp (1967).
  It has as many parameters as `f1_bias`, but overfits far less.
  """
  counts = np.bincount(target, minlength=prob.shape[-1]) + 1.0
  prior = counts / counts.sum()
  bias = np.zeros(prob.shape[-1])
  for _ in range(_ROUNDS):
    step = np.log(
        prior / np.maximum(apply(prob, bias).mean(axis=0), blending.FLOOR)
    )
    bias += step
    if np.abs(step).max() < _TOLERANCE:
      break
  return bias - bias.mean()


def tau_bias(
    prob: Float[np.ndarray, 'n k'], target: Int[np.ndarray, 'n']
) -> Float[np.ndarray, 'k']:
  """Returns the bias -tau log(class frequency) with the largest macro F1.

  This is the post-hoc logit adjustment of Menon et al. (arXiv 2007.07314), where tau
  is 1 for calibrated probabilities. The frequencies are those of the targets, with
  one added to each count. tau is one of TAUS.
  """
  logs = np.log(np.maximum(prob, blending.FLOOR))
  prior = _log_prior(target, prob.shape[-1])
  best, best_score = 0.0, -np.inf
  for value in TAUS:
    pred = np.argmax(logs - value * prior, axis=-1)
    score = metrics.macro_f1(pred, target, num_classes=len(prior))
    if score > best_score + blending.GAIN:
      best, best_score = value, score
  return -best * prior


def tau(bias: Float[np.ndarray, 'k'], target: Int[np.ndarray, 'n']) -> float:
  """Returns the tau of a result of `tau_bias` for the same targets."""
  prior = _log_prior(target, len(bias))
  power = prior @ prior
  return float(-(bias @ prior) / power) if power else 0.0


def _log_prior(
    target: Int[np.ndarray, 'n'], count: int
) -> Float[np.ndarray, 'k']:
  """Returns the logarithms of the class frequencies; their sum is 0."""
  logs = np.log(np.bincount(target, minlength=count) + 1.0)
  return logs - logs.mean()


def _best_bias(
    scores: Float[np.ndarray, 'n k'],
    log_prob: Float[np.ndarray, 'n'],
    target: Int[np.ndarray, 'n'],
    k: int,
) -> tuple[float, float]:
  """Returns the best bias of class k for fixed other biases, and its macro F1.

  A row is predicted as k if the bias exceeds the lead of its best other class.
  Rows are sorted by this lead and change to class k one after the other.
  """
  count = scores.shape[-1]
  others = scores.copy()
  others[:, k] = -np.inf
  rival = np.argmax(others, axis=-1)
  lead = others[np.arange(len(rival)), rival] - log_prob
  order = np.argsort(lead, kind='stable')
  lead, rival, target = lead[order], rival[order], target[order]
  f1 = thresholds.f1_while_replacing(
      rival, np.full_like(rival, k), target, count
  )
  edges = np.concatenate([[lead[0] - 2], lead, [lead[-1] + 2]])
  possible = np.diff(edges) > thresholds.MIN_GAP
  at = int(np.argmax(np.where(possible, f1, -1.0)))
  return float(edges[at] + edges[at + 1]) / 2, float(f1[at])


# Methods to fit a bias, by name.
BIASES = {'f1': f1_bias, 'prior': prior_bias, 'tau': tau_bias}
