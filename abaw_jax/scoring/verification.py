"""Face verification: scores of pairs of embeddings, same person or different."""

from jaxtyping import Float, Int
import numpy as np

# Pairs that are scored; a rate of 1e-3 is measured on 200 different pairs.
MAX_SAME = 20_000
MAX_DIFFERENT = 200_000
FALSE_ACCEPT_RATES = {'TAR_1e-2': 1e-2, 'TAR_1e-3': 1e-3}
NUM_FOLDS = 10

_SEED = 0  # for the choice of pairs, the same in every run
_CHUNK = 1 << 14  # pairs whose embeddings are gathered at a time

Pairs = Int[np.ndarray, 'p 2']
Values = Float[np.ndarray, 'n']


def identification(
    pred: Int[np.ndarray, 'n'], target: Int[np.ndarray, 'n']
) -> dict[str, float]:
  """Returns `accuracy`, the share of images with the correct person."""
  return {'accuracy': float(np.mean(pred == target)), 'n_images': len(target)}


def verification(
    directions: Float[np.ndarray, 'n d'], identity: Int[np.ndarray, 'n']
) -> dict[str, float]:
  """Returns scores of pairs of images, from the cosines of their embeddings.

  At most MAX_SAME pairs of the same person and MAX_DIFFERENT pairs of different
  people are drawn, the same pairs each time. Embeddings have length 1.

  - `AUC`: probability that a same pair has a larger cosine than a different pair.
  - `TAR_1e-2`, `TAR_1e-3`: true accept rates, the share of accepted same pairs at
    a threshold that accepts at most this share of different pairs.
  - `accuracy`: as on LFW, see `fold_accuracy`.
  - `n_same`, `n_different`: numbers of pairs.

  Raises:
    ValueError: there are fewer than two pairs of a kind, or an embedding is not
      finite.
  """
  if not np.isfinite(directions).all():
    raise ValueError('an embedding is NaN or infinite')
  same = same_pairs(identity, MAX_SAME)
  different = different_pairs(identity, MAX_DIFFERENT)
  if min(len(same), len(different)) < 2:
    raise ValueError(
        f'there are {len(same)} pairs of images of the same person and '
        f'{len(different)} of different people; verification needs two of each'
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
  """Returns all pairs of images of the same person, or `most` random ones."""
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
  """Returns all pairs of images of different people, or up to `most` random ones.

  There may be fewer than `most` if a majority of pairs shows the same person.
  """
  count = len(identity)
  pairs = _pair(_choose(count * (count - 1) // 2, 2 * most))
  return pairs[identity[pairs[:, 0]] != identity[pairs[:, 1]]][:most]


def cosines(
    directions: Float[np.ndarray, 'n d'], pairs: Pairs
) -> Float[np.ndarray, 'p']:
  """Returns the cosine of each pair, in float64."""
  parts = [
      np.einsum('nd,nd->n', *directions[part.T], dtype=np.float64)
      for part in np.split(pairs, range(_CHUNK, len(pairs), _CHUNK))
  ]
  return np.concatenate(parts)


def auc(close: Values, far: Float[np.ndarray, 'm']) -> float:
  """Returns the probability that `close` exceeds `far`; a tie counts one half."""
  far = np.sort(far)
  below = np.searchsorted(far, close, side='left')
  up_to = np.searchsorted(far, close, side='right')
  return float(np.mean(below + up_to) / (2 * len(far)))


def tar(close: Values, far: Float[np.ndarray, 'm'], *, rate: float) -> float:
  """Returns the share of accepted `close` if at most `rate` of `far` is accepted."""
  accepted = int(rate * len(far))
  threshold = np.sort(far)[::-1][accepted] if accepted < len(far) else -np.inf
  return float(np.mean(close > threshold))


def fold_accuracy(close: Values, far: Float[np.ndarray, 'm']) -> float:
  """Returns the mean accuracy over folds; thresholds come from the other folds.

  The protocol of LFW (Huang et al., 2007), but both kinds of pairs have the same
  weight. Pair i is in fold i modulo NUM_FOLDS.
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
  """Returns the lowest threshold with the best balanced accuracy."""
  thresholds = np.unique(np.concatenate([close, far]))
  accepted = 1 - np.searchsorted(np.sort(close), thresholds) / len(close)
  refused = np.searchsorted(np.sort(far), thresholds) / len(far)
  return float(thresholds[np.argmax(accepted + refused)])


def _choose(count: int, most: int) -> Int[np.ndarray, 'n']:
  """Returns all numbers below `count`, or `most` random ones."""
  if count <= most:
    return np.arange(count)
  return np.random.default_rng(_SEED).choice(count, most, replace=False)


def _pair(number: Int[np.ndarray, 'p']) -> Pairs:
  """Returns pairs i < j by their number in (0, 1), (0, 2), (1, 2), (0, 3) ..."""
  j = ((1 + np.sqrt(8.0 * number + 1)) / 2).astype(np.int64)
  # For large numbers the root is rounded.
  j -= j * (j - 1) // 2 > number
  j += j * (j + 1) // 2 <= number
  return np.stack([number - j * (j - 1) // 2, j], axis=-1)
