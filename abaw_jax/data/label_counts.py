"""How often each label is there, which decides what it weighs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
from typing import Any

from jaxtyping import Float, Int
import numpy as np

from abaw_jax.core import labels

# What must be read of a record.
FIELDS = ('expression', 'expr', 'au', 'au_mask')


@dataclasses.dataclass(frozen=True, eq=False)
class LabelCounts:
  """Numbers of rows by label, over the rows that have it.

  Attributes:
    expression: rows of each expression.
    au_present: rows in which each AU is present.
    au_known: rows in which it is labelled.
  """

  expression: Int[np.ndarray, '8']
  au_present: Int[np.ndarray, '12']
  au_known: Int[np.ndarray, '12']

  @classmethod
  def of(cls, records: Iterable[Mapping[str, Any]]) -> LabelCounts:
    """Returns the counts of records of one row, or of n rows each."""
    expression = np.zeros(labels.NUM_EXPRESSIONS, np.int64)
    au_present = np.zeros(labels.NUM_AUS, np.int64)
    au_known = np.zeros(labels.NUM_AUS, np.int64)
    for record in records:
      expr = np.atleast_1d(record['expr'])
      classes = np.atleast_1d(record['expression'])[expr]
      np.add.at(expression, classes, 1)
      mask = np.atleast_2d(record['au_mask'])
      au_known += mask.sum(axis=0)
      au_present += (mask & (np.atleast_2d(record['au']) == 1)).sum(axis=0)
    return cls(expression, au_present, au_known)

  def class_weights(self) -> Float[np.ndarray, '8']:
    """Returns the largest count over each class's own; 0 for one without rows.

    Such a class is no target, and smoothed labels must not make it one.
    """
    count = self.expression
    return np.where(count, count.max() / np.maximum(count, 1), 0.0)

  def expression_shares(self) -> Float[np.ndarray, '8']:
    """Returns the frequency of each class; one without rows counts as one row."""
    return np.maximum(self.expression, 1) / max(self.expression.sum(), 1)

  def au_weights(
      self,
  ) -> tuple[Float[np.ndarray, '12'], Float[np.ndarray, '12']]:
    """Returns n / (2 n_present) and n / (2 n_absent) of each AU.

    Present and absent then weigh the same. n are the rows in which the AU is
    labelled; of 0 rows the factor is one that no row will meet.
    """
    n, present = self.au_known, self.au_present
    return n / (2 * np.maximum(present, 1)), n / (
        2 * np.maximum(n - present, 1)
    )
