"""Class-balanced sampling: every expression is drawn equally often."""

import fractions
import functools
from typing import Any

from jaxtyping import Int
import numpy as np

from abaw_jax.core import fingerprint, labels
from abaw_jax.data import order as order_lib
from abaw_jax.data import protocol


class ClassBalanced(protocol.Source):
  """A source of labelled images whose training order is class-balanced.

  Each expression is drawn equally often. Images without an expression are drawn
  as often as without class balance. Evaluation does not change.
  """

  def __init__(self, source: Any):
    """Initializes the source; reads no record yet.

    Args:
      source: records, or a mixture of them, with `expression` and `expr`.
    """
    self._source = source

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

  def with_fields(self, *fields: str) -> Any:
    """Returns the same records with these fields only."""
    return self._source.with_fields(*fields)

  def fingerprints(self) -> dict[str, fingerprint.Fingerprint]:
    """Returns the fingerprint of each dataset, by name."""
    return self._source.fingerprints()

  def names(self, rows) -> protocol.Rows:
    """Returns the fields that identify each record; see `protocol.Source`."""
    return self._source.names(rows)

  def where(self, index: int) -> str:
    """Returns the dataset and the name of a record for error messages."""
    return self._source.where(index)

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._source[index]

  def __repr__(self) -> str:
    return f'ClassBalanced({self._source!r})'

  @functools.cached_property
  def _classes(self) -> Int[np.ndarray, 'n']:
    """The class of each record; NUM_EXPRESSIONS if it has none."""
    return np.array(
        [
            record['expression'] if record['expr'] else labels.NUM_EXPRESSIONS
            for record in self._source.with_fields('expression', 'expr')
        ]
    )
