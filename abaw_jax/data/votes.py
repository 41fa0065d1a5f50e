"""What the ten annotators of a face of FER+ say, as a distribution."""

import itertools

from jaxtyping import Float, Integer
import numpy as np

from abaw_jax.core import labels

# The dataset whose records have `votes`.
DATASET = 'fer_plus'
_ENOUGH = 0.75  # of the votes
_MOST_CLASSES = 3
# Our class for each of theirs, -1 for Unknown and NF.
_OURS = tuple(
    labels.expression_id(DATASET, code)
    for code in labels.NATIVE_EXPRESSIONS[DATASET]
)


def distribution(votes: Integer[np.ndarray, '10']) -> Float[np.ndarray, '8']:
  """Returns the probability of each of our expressions; all 0 for no use.

  As the code of FER+ (Barsoum et al., arXiv 1608.01041) makes the targets of
  its modes `probability` and `crossentropy`: single votes count for nothing.
  Classes are taken from the most votes on, those with equally many together,
  until they have three quarters of the votes or are three. Unknown or not a
  face ends that; it is left out if an expression stands before it. A face is of
  no use if one of these two comes first, if no more than half of the votes are
  taken, or if more than three classes are.
  """
  counted = np.where(votes > 1, votes, 0)
  taken = np.zeros(labels.NUM_EXPRESSIONS)
  nothing = np.zeros_like(taken)
  classes = 0
  order = sorted(range(len(votes)), key=lambda code: -counted[code])
  for count, group in itertools.groupby(order, key=lambda code: counted[code]):
    full = taken.sum() >= _ENOUGH * counted.sum()
    if full or classes >= _MOST_CLASSES:
      break
    ours = [_OURS[code] for code in group]
    known = list(itertools.takewhile(lambda x: x >= 0, ours))
    np.add.at(taken, known, count)
    classes += len(known)
    if len(known) < len(ours):
      break
  if 2 * taken.sum() <= counted.sum() or classes > _MOST_CLASSES:
    return nothing
  return taken / taken.sum()
