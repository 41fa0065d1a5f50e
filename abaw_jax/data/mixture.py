"""Several datasets of images as one."""

import bisect
from collections.abc import Iterator, Sequence
import fractions
import itertools
from typing import Any

import numpy as np

from abaw_jax.data import order as order_lib
from abaw_jax.data import sources


class Mixture:
  """The records of the first dataset, then those of the second, and so on.

  Attributes:
    sizes: records of each dataset.
    weights: how often training draws from each, see `order.Order`.
  """

  def __init__(
      self,
      parts: Sequence[sources.Records],
      *,
      weights: Sequence[fractions.Fraction] | None = None,
  ):
    """Joins records that have the same fields, as far as they are read."""
    self._parts = tuple(parts)
    self.sizes = tuple(len(part) for part in parts)
    self.weights = None if weights is None else tuple(weights)
    self._ends = list(itertools.accumulate(self.sizes))

  def order(self, seed: int) -> order_lib.Order:
    """Returns the order of training."""
    return order_lib.Order(self.sizes, self.weights, seed)

  def with_fields(self, *fields: str) -> 'Mixture':
    """Returns the same records with no fields but these."""
    parts = [part.with_fields(*fields) for part in self._parts]
    return Mixture(parts, weights=self.weights)

  def names(self) -> dict[str, np.ndarray]:
    """Returns `dataset` and `name`, one entry per record."""
    names = []
    for part in self._parts:
      columns = part.names().values()
      rows = zip(*columns, strict=True)
      names += ['/'.join(map(str, row)) for row in rows]
    return {
        'dataset': np.repeat([part.name for part in self._parts], self.sizes),
        'name': np.array(names),
    }

  def where(self, index: int) -> str:
    """Returns what a message calls a record: its dataset and its name."""
    part, index = self._locate(index)
    return part.where(index)

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> dict[str, Any]:
    part, index = self._locate(index)
    return part[index]

  def __iter__(self) -> Iterator[dict[str, Any]]:
    return itertools.chain.from_iterable(self._parts)

  def __repr__(self) -> str:
    weights = ', '.join(map(str, self.weights or ('by size',)))
    return f'Mixture({list(self._parts)}, weights {weights})'

  def _locate(self, index: int) -> tuple[sources.Records, int]:
    """Returns the dataset that holds a record, and its position there."""
    if not 0 <= index < len(self):
      raise IndexError(f'record {index} of {len(self)}')
    part = bisect.bisect_right(self._ends, index)
    return self._parts[part], index - (self._ends[part] - self.sizes[part])
