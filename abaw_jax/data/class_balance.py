"""Images in an order in which every expression comes equally often."""

from collections.abc import Iterable, Mapping
import fractions
from typing import Any

from jaxtyping import Bool, Int
import numpy as np

from abaw_jax.core import labels
from abaw_jax.data import order as order_lib

# What must be read of a record to know where it belongs.
FIELDS = ('expression', 'expr')


class Balanced:
  """The records of a source by expression, those without one behind them.

  Attributes:
    sizes: records of each expression that there is, and without one.
    weights: how often training draws from each, see `order.Order`: expressions
      equally often, those without one as often as they are.
  """

  def __init__(
      self,
      source: Any,
      expression: Int[np.ndarray, 'n'],
      expr: Bool[np.ndarray, 'n'],
  ):
    """Sorts records; of two of one expression the first stays the first.

    Args:
      source: records by position.
      expression: class of each.
      expr: whether it has one.
    """
    self._source = source
    kinds = np.where(expr, expression, labels.NUM_EXPRESSIONS)
    self._places = np.argsort(kinds, kind='stable')
    present, counts = np.unique(kinds, return_counts=True)
    self.sizes = tuple(counts.tolist())
    labelled = int(expr.sum())
    classes = max(1, np.count_nonzero(present < labels.NUM_EXPRESSIONS))
    self.weights = tuple(
        fractions.Fraction(labelled, int(classes))
        if kind < labels.NUM_EXPRESSIONS
        else fractions.Fraction(size)
        for kind, size in zip(present.tolist(), self.sizes, strict=True)
    )

  def order(self, seed: int) -> order_lib.Order:
    """Returns the order of training."""
    return order_lib.Order(self.sizes, self.weights, seed)

  def where(self, index: int) -> str:
    """Returns what a message calls a record."""
    return self._source.where(int(self._places[index]))

  def __len__(self) -> int:
    return len(self._places)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._source[int(self._places[index])]

  def __repr__(self) -> str:
    return f'Balanced({self._source!r})'


def balanced(source: Any, records: Iterable[Mapping[str, Any]]) -> Balanced:
  """Returns a source in balance; `records` are its own, with FIELDS alone."""
  rows = [(record['expression'], record['expr']) for record in records]
  expression, expr = zip(*rows, strict=True)
  return Balanced(source, np.array(expression), np.array(expr, bool))
