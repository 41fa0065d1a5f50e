"""Label counts of a dataset, and class weights computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
from typing import Any

from jaxtyping import Float, Int
import numpy as np

from abaw_jax.core import labels

# Fields of a record that are counted, and its masks.
FIELDS = ('expression', 'expr', 'au', 'au_mask', 'va')
MASKS = ('va', 'expr', 'au_mask')


@dataclasses.dataclass(frozen=True, eq=False)
class LabelCounts:
  """Number of rows with each label.

  Attributes:
    expression: rows labelled with each expression.
    au_present: rows in which each AU is present.
    au_known: rows in which each AU is labelled.
    va: rows with labelled valence and arousal.
  """

  expression: Int[np.ndarray, '8']
  au_present: Int[np.ndarray, '12']
  au_known: Int[np.ndarray, '12']
  va: int = 0

  @classmethod
  def of(cls, records: Iterable[Mapping[str, Any]]) -> LabelCounts:
    """Returns the counts over all records; a record holds one row or many."""
    expression = np.zeros(labels.NUM_EXPRESSIONS, np.int64)
    au_present = np.zeros(labels.NUM_AUS, np.int64)
    au_known = np.zeros(labels.NUM_AUS, np.int64)
    va = 0
    for record in records:
      expr = np.atleast_1d(record['expr'])
      classes = np.atleast_1d(record['expression'])[expr]
      np.add.at(expression, classes, 1)
      mask = np.atleast_2d(record['au_mask'])
      au_known += mask.sum(axis=0)
      va += int(np.sum(record['va']))
      au_present += (mask & (np.atleast_2d(record['au']) == 1)).sum(axis=0)
    return cls(expression, au_present, au_known, va)

  def class_weights(self, numerator: str = 'max') -> Float[np.ndarray, '8']:
    """Returns the numerator / count of each expression; 0 if its count is 0.

    Weight 0 keeps label smoothing from training an expression without rows.

    Args:
      numerator: the 'max' or the 'mean' of the counts that are not 0.
    """
    count = self.expression
    seen = count[count > 0] if count.any() else np.zeros(1)
    top = seen.max() if numerator == 'max' else seen.mean()
    return np.where(count, top / np.maximum(count, 1), 0.0)

  def task_weights(self) -> dict[str, float]:
    """Returns max(count) / count of the labelled rows of each task.

    The count of the AUs is that of the AU with the most labels. A count of 0 is
    taken as 1; the loss of such a task is 0.
    """
    rows = {
        'va': self.va,
        'expr': int(self.expression.sum()),
        'au_mask': int(self.au_known.max()),
    }
    most = max(rows.values())
    return {
        task: most / max(rows[mask], 1) for task, mask in labels.MASKS.items()
    }

  def expression_shares(self) -> Float[np.ndarray, '8']:
    """Returns the frequency of each expression; a count of 0 is taken as 1."""
    return np.maximum(self.expression, 1) / max(self.expression.sum(), 1)

  def au_weights(
      self,
  ) -> tuple[Float[np.ndarray, '12'], Float[np.ndarray, '12']]:
    """Returns n / (2 n_present) and n / (2 n_absent) of each AU.

    With these weights, present and absent contribute equally. n is the number of
    rows in which the AU is labelled. Counts of 0 are taken as 1; no row uses their
    weight.
    """
    n, present = self.au_known, self.au_present
    return n / (2 * np.maximum(present, 1)), n / (
        2 * np.maximum(n - present, 1)
    )


def is_labelled(records: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
  """Returns whether any record has a label of `va`, of `expr` and of each AU.

  It reads only as many records as needed.

  Args:
    records: with the fields MASKS; a record holds one row or many.
  """
  names = ('va', 'expr', *labels.AU_NAMES)
  known = np.zeros(len(names), bool)
  for record in records:
    aus = np.atleast_2d(record['au_mask']).any(axis=0)
    known |= [np.any(record['va']), np.any(record['expr']), *aus]
    if known.all():
      break
  return dict(zip(names, known.tolist(), strict=True))
