"""Class distributions from the votes of the ten FER+ annotators."""

import itertools

from jaxtyping import Float, Integer
import numpy as np

from abaw_jax.core import labels

# The dataset whose records have `votes`.
DATASET = 'fer_plus'
_ENOUGH = 0.75  # share of the votes
_MOST_CLASSES = 3
# Our class for each FER+ class, -1 for Unknown and NF (not a face).
_OUR_CLASSES = tuple(
    labels.expression_id(DATASET, code)
    for code in labels.NATIVE_EXPRESSIONS[DATASET]
)


def distribution(votes: Integer[np.ndarray, '10']) -> Float[np.ndarray, '8']:
  """Returns the probability of each expression; all 0 if the face is unusable.

  The rules are those of the FER+ code (Barsoum et al., arXiv 1608.01041) for its
  modes `probability` and `crossentropy`:

  - A class with a single vote gets no votes.
  - Classes are added by number of votes, largest first; equal ones together.
    This stops at three quarters of the votes, or at three classes.
  - It also stops at Unknown or NF. They get no probability.
  - A face is unusable if Unknown or NF comes first, if the added classes have at
    most half of the votes, or if there are more than three.
  """
  counted = np.where(votes > 1, votes, 0)
  taken = np.zeros(labels.NUM_EXPRESSIONS)
  unusable = np.zeros_like(taken)
  classes = 0
  order = sorted(range(len(votes)), key=lambda code: -counted[code])
  for count, group in itertools.groupby(order, key=lambda code: counted[code]):
    enough = taken.sum() >= _ENOUGH * counted.sum()
    if enough or classes >= _MOST_CLASSES:
      break
    ours = [_OUR_CLASSES[code] for code in group]
    known = list(itertools.takewhile(lambda x: x >= 0, ours))
    np.add.at(taken, known, count)
    classes += len(known)
    if len(known) < len(ours):
      break
  if 2 * taken.sum() <= counted.sum() or classes > _MOST_CLASSES:
    return unusable
  return taken / taken.sum()
