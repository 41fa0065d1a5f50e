"""Class-balanced sampling: every expression is drawn equally often."""

import fractions
import functools

from jaxtyping import Int
import numpy as np

from abaw_jax.core import labels
from abaw_jax.data import order as order_lib
from abaw_jax.data import protocol


class ClassBalanced(protocol.Wrapper):
  """A source of labelled images whose training order is class-balanced.

  Each expression is drawn equally often. Images without an expression are drawn
  as often as without class balance. Evaluation does not change. The records, of one
  dataset or a mixture, have `expression` and `expr`.
  """

  def for_training(self, seed: int) -> order_lib.Shuffled:
    """Returns the examples in the order of training; reads all labels once."""
    classes = self._classes
    present, counts = np.unique(classes, return_counts=True)
    has_class = present < labels.NUM_EXPRESSIONS
    num_labelled = int(counts[has_class].sum())
    weights = [
        fractions.Fraction(num_labelled, int(has_class.sum()))
        if known
        else fractions.Fraction(count)
        for known, count in zip(has_class, counts.tolist(), strict=True)
    ]
    order = order_lib.Order(tuple(counts.tolist()), tuple(weights), seed)
    return order_lib.Shuffled(
        self._source, order, np.argsort(classes, kind='stable')
    )

  @functools.cached_property
  def _classes(self) -> Int[np.ndarray, 'n']:
    """The class of each record; NUM_EXPRESSIONS if it has none."""
    return np.array(
        [
            record['expression'] if record['expr'] else labels.NUM_EXPRESSIONS
            for record in self._source.with_fields('expression', 'expr')
        ]
    )
