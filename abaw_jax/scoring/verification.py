"""Whether two images show the same person: scores of pairs of embeddings."""

from jaxtyping import Float, Int
import numpy as np

# Pairs of one person and of two; a rate of 1e-3 stands on 200 of the latter.
MAX_SAME = 20_000
MAX_DIFFERENT = 200_000
FALSE_ACCEPT_RATES = {'TAR_1e-2': 1e-2, 'TAR_1e-3': 1e-3}
NUM_FOLDS = 10

_SEED = 0  # of the choice of pairs, the same for every run
_AT_ONCE = 1 << 14  # pairs whose embeddings are gathered at once

Pairs = Int[np.ndarray, 'p 2']
Values = Float[np.ndarray, 'n']


def identification(
    pred: Int[np.ndarray, 'n'], target: Int[np.ndarray, 'n']
) -> dict[str, float]:
  """Returns `accuracy`, the share of images whose person is told."""
  return {'accuracy': float(np.mean(pred == target)), 'n_images': len(target)}


def verification(
    directions: Float[np.ndarray, 'n d'], identity: Int[np.ndarray, 'n']
) -> dict[str, float]:
  """Returns scores of pairs, told apart by the cosine of their embeddings.

  Up to MAX_SAME pairs of one person and MAX_DIFFERENT of two are drawn, always
  the same ones. `AUC` is the probability that a pair of one person is closer
  than one of two; `TAR_1e-2` and `TAR_1e-3` are the shares of the former that
  are accepted where that share of the latter is, at most; `accuracy` is that of
  LFW (`fold_accuracy`); `n_same` and `n_different` count the pairs.

  Args:
    directions: of length 1.
    identity: number of the person.

  Raises:
    ValueError: there is no such pair, or but one, or a direction is not
      finite.
  """
  if not np.isfinite(directions).all():
    raise ValueError('an embedding is NaN or infinite')
  same = same_pairs(identity, MAX_SAME)
  different = different_pairs(identity, MAX_DIFFERENT)
  if min(len(same), len(different)) < 2:
    raise ValueError(
        f'there are {len(same)} pairs of images of one person and '
        f'{len(different)} of two; verification needs two of each'
    )
  close, far = cosines(directions, same), cosines(directions, different)
  return {
      'AUC': auc(close, far),
      'accuracy': fold_accuracy(close, far),
      **{k: tar(close, far, rate=v) for k, v in FALSE_ACCEPT_RATES.items()},
      'n_same': len(close),
      'n_different': len(far),
  }


def same_pairs(identity: Int[np.ndarray, 'n'], most: int) -> Pairs:
  """Returns pairs of images of one person: all, or `most` at random."""
  order = np.argsort(identity, kind='stable')
  _, first, count = np.unique(
      identity[order], return_index=True, return_counts=True
  )
  ends = np.cumsum(count * (count - 1) // 2)
  chosen = _choose(int(ends[-1]), most)
  person = np.searchsorted(ends, chosen, side='right')
  before = ends[person] - count[person] * (count[person] - 1) // 2
  return order[first[person, None] + _pair(chosen - before)]


def different_pairs(identity: Int[np.ndarray, 'n'], most: int) -> Pairs:
  """Returns pairs of images of two people: all, or up to `most` at random.

  It may be less where most pairs are of one person.
  """
  count = len(identity)
  pairs = _pair(_choose(count * (count - 1) // 2, 2 * most))
  return pairs[identity[pairs[:, 0]] != identity[pairs[:, 1]]][:most]


def cosines(
    directions: Float[np.ndarray, 'n d'], pairs: Pairs
) -> Float[np.ndarray, 'p']:
  """Returns the cosine of each pair, in float64."""
  parts = [
      np.einsum(
          'nd,nd->n',
          directions[part[:, 0]],
          directions[part[:, 1]],
          dtype=np.float64,
      )
      for part in np.split(pairs, range(_AT_ONCE, len(pairs), _AT_ONCE))
  ]
  return np.concatenate(parts)


def auc(close: Values, far: Float[np.ndarray, 'm']) -> float:
  """Returns how likely one of `close` is above one of `far`; a tie is half."""
  far = np.sort(far)
  below = np.searchsorted(far, close, side='left')
  up_to = np.searchsorted(far, close, side='right')
  return float(np.mean(below + up_to) / (2 * len(far)))


def tar(close: Values, far: Float[np.ndarray, 'm'], *, rate: float) -> float:
  """Returns the share of `close` accepted where at most `rate` of `far` is."""
  accepted = int(rate * len(far))
  threshold = np.sort(far)[::-1][accepted] if accepted < len(far) else -np.inf
  return float(np.mean(close > threshold))


def fold_accuracy(close: Values, far: Float[np.ndarray, 'm']) -> float:
  """Returns the mean accuracy over folds, the threshold chosen on the others.

  The protocol of LFW (Huang et al., 2007), but both kinds of pairs weighing alike
  however many there are. Pair i is in fold i modulo NUM_FOLDS.
  """
  folds = min(NUM_FOLDS, len(close), len(far))
  scores = []
  for fold in range(folds):
    own, own_far = (np.arange(len(x)) % folds == fold for x in (close, far))
    threshold = _best_threshold(close[~own], far[~own_far])
    accepted, refused = close[own] >= threshold, far[own_far] < threshold
    scores.append((np.mean(accepted) + np.mean(refused)) / 2)
  return float(np.mean(scores))


def _best_threshold(close: Values, far: Float[np.ndarray, 'm']) -> float:
  """Returns the lowest cosine above which accepting is most often right."""
  thresholds = np.unique(np.concatenate([close, far]))
  accepted = 1 - np.searchsorted(np.sort(close), thresholds) / len(close)
  refused = np.searchsorted(np.sort(far), thresholds) / len(far)
  return float(thresholds[np.argmax(accepted + refused)])


def _choose(count: int, most: int) -> Int[np.ndarray, 'n']:
  """Returns all numbers below `count`, or `most` of them in random order."""
  if count <= most:
    return np.arange(count)
  return np.random.default_rng(_SEED).choice(count, most, replace=False)


def _pair(number: Int[np.ndarray, 'p']) -> Pairs:
  """Returns the pair i < j at a place in (0, 1), (0, 2), (1, 2), (0, 3) ..."""
  j = ((1 + np.sqrt(8.0 * number + 1)) / 2).astype(np.int64)
  # The root is rounded where numbers are large.
  j -= j * (j - 1) // 2 > number
  j += j * (j + 1) // 2 <= number
  return np.stack([number - j * (j - 1) // 2, j], axis=-1)
