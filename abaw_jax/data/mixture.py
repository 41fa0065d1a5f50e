"""Several datasets of images, joined into one source."""

import bisect
from collections.abc import Iterator, Mapping, Sequence
import fractions
import itertools
from typing import Any

import numpy as np

from abaw_jax.core import fingerprint
from abaw_jax.data import order as order_lib
from abaw_jax.data import protocol, sources


class Mixture(protocol.Source):
  """The records of the first dataset, then those of the second, and so on.

  Attributes:
    sizes: number of records in each dataset.
    weights: sampling weight of each dataset in training, see `order.Order`.
  """

  def __init__(
      self,
      parts: Sequence[sources.Records],
      *,
      weights: Sequence[fractions.Fraction] | None = None,
  ):
    """Joins datasets; all of them must have the fields that are read."""
    self._parts = tuple(parts)
    self.sizes = tuple(len(part) for part in parts)
    self.weights = None if weights is None else tuple(weights)
    self._ends = list(itertools.accumulate(self.sizes))

  def for_training(self, seed: int) -> order_lib.Shuffled:
    """Returns the examples in the order of training."""
    return order_lib.Shuffled(
        self, order_lib.Order(self.sizes, self.weights, seed)
    )

  def with_fields(self, *fields: str) -> 'Mixture':
    """Returns the same records with these fields only."""
    parts = [part.with_fields(*fields) for part in self._parts]
    return Mixture(parts, weights=self.weights)

  def fingerprints(self) -> dict[str, fingerprint.Fingerprint]:
    """Returns the fingerprint of each dataset, by name."""
    return fingerprint.merged(*(part.fingerprints() for part in self._parts))

  def names(self, rows: Mapping[str, np.ndarray]) -> protocol.Rows:
    """Returns `dataset` and `name` of all records, in order."""
    names = []
    for part in self._parts:
      columns = part.names(rows).values()
      names += ['/'.join(map(str, keys)) for keys in zip(*columns, strict=True)]
    return {
        'dataset': np.repeat([part.name for part in self._parts], self.sizes),
        'name': np.array(names),
    }

  def where(self, index: int) -> str:
    """Returns the dataset and the name of a record for error messages."""
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
    """Returns the dataset that holds a record, and its index there."""
    if not 0 <= index < len(self):
      raise IndexError(f'record {index} of {len(self)}')
    part = bisect.bisect_right(self._ends, index)
    return self._parts[part], index - (self._ends[part] - self.sizes[part])
