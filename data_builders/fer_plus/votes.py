"""The label of a face of FER+, from the votes of ten annotators."""

from collections.abc import Sequence

from abaw_jax.core import labels

CLASSES = tuple(labels.NATIVE_EXPRESSIONS['fer_plus'].values())
NOT_A_FACE = CLASSES.index('NF')


def top(votes: Sequence[int]) -> int:
  """Returns the class with the most votes; the first one of a tie."""
  return max(range(len(votes)), key=lambda code: votes[code])


def majority(votes: Sequence[int]) -> int | None:
  """Returns the class with more than half of the votes, or None.

  Classes with a single vote are ignored (Barsoum et al., arXiv 1608.01041,
  majority voting).
  """
  counted = [n if n > 1 else 0 for n in votes]
  first = top(counted)
  return first if 2 * counted[first] > sum(counted) else None


def expression(votes: Sequence[int]) -> int:
  """Returns the index into labels.EXPRESSIONS of the majority, or -1."""
  winner = majority(votes)
  if winner is None:
    return labels.EXPRESSION_MISSING
  return labels.expression_id('fer_plus', winner)
