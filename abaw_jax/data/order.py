"""The order of the examples in training."""

from collections.abc import Callable, Sequence
import dataclasses
import fractions
import functools
from typing import Any

from jaxtyping import Int
import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)  # its hash must be fast
class Order:
  """An endless sequence of example indices, computed from a seed.

  Without weights, epoch e is a permutation of all examples, drawn from (seed, e).
  With weights, an epoch has the same length. At the end of each epoch, a part has
  had its share of all positions so far: weight / sum(weights), with an error below
  the number of parts. Each part has its own sequence of permutations. A part that
  is drawn more often than its size repeats its examples. A part that is drawn less
  often continues in the next epoch.

  Attributes:
    sizes: number of examples in each part, at least 1.
    weights: sampling weight of each part, above 0; None means its size.
    seed: any integer from 0.
  """

  sizes: tuple[int, ...]
  weights: tuple[fractions.Fraction, ...] | None
  seed: int

  def __getitem__(self, position: int) -> int:
    """Returns the index of the example at a position from 0.

    Indices count the examples of the first part, then of the second, and so on.
    """
    epoch, offset = divmod(position, sum(self.sizes))
    return int(_epoch(self, epoch)[offset])


class Shuffled:
  """The examples of a source in an `Order`; see `protocol.TrainingExamples`."""

  def __init__(
      self,
      source: Any,
      order: Order,
      parts: Int[np.ndarray, 'n'] | None = None,
  ):
    """Initializes the examples.

    Args:
      source: examples by index.
      order: the order of the examples.
      parts: indices of the examples, sorted by the parts of the order; None if
        the source is already sorted.
    """
    self._source = source
    self._order = order
    self._parts = parts

  def of(self, source: Any) -> 'Shuffled':
    """Returns the examples of another source with the same records."""
    return Shuffled(source, self._order, self._parts)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._source[self._locate(index)]

  def where(self, index: int) -> str:
    """Returns the name of an example for error messages."""
    return self._source.where(self._locate(index))

  def batch(
      self, indices: Sequence[int], *, rows: int
  ) -> dict[str, np.ndarray] | None:
    """Returns the batch of some examples, or None; see `protocol.Source`."""
    return self._source.batch([*map(self._locate, indices)], rows=rows)

  def num_examples(self, epochs: float | int) -> float | int:
    """Returns the number of examples in `epochs` epochs."""
    return epochs * sum(self._order.sizes)

  def _locate(self, index: int) -> int:
    position = self._order[index]
    return position if self._parts is None else int(self._parts[position])


# Threads that pass the end of an epoch together need two epochs at once.
@functools.lru_cache(maxsize=4)
def _epoch(order: Order, epoch: int) -> Int[np.ndarray, 'n']:
  """Returns the indices of one epoch."""
  length = sum(order.sizes)
  rng = np.random.default_rng([order.seed, epoch])
  if order.weights is None:
    return rng.permutation(length)
  starts = _shares(epoch * length, order.weights)
  stops = _shares((epoch + 1) * length, order.weights)
  counts = np.subtract(stops, starts)
  part_at = rng.permutation(np.repeat(np.arange(len(counts)), counts))
  indices = np.empty(length, np.int64)
  first = 0
  for part, size in enumerate(order.sizes):
    part_epoch = functools.partial(_part_epoch, order.seed, part, size)
    drawn = _slice(part_epoch, size, starts[part], stops[part])
    indices[part_at == part] = first + drawn
    first += size
  return indices


def _part_epoch(
    seed: int, part: int, size: int, epoch: int
) -> Int[np.ndarray, 'n']:
  """Returns one permutation of the examples of a part."""
  # The last number is above 0, so the seed differs from every (seed, epoch).
  return np.random.default_rng([seed, epoch, part + 1]).permutation(size)


def _slice(
    epoch: Callable[[int], Int[np.ndarray, 'n']],
    length: int,
    start: int,
    stop: int,
) -> Int[np.ndarray, '{stop-start}']:
  """Returns positions `start` to `stop` of all epochs, joined.

  Args:
    epoch: returns the permutation of an epoch, given its number.
    length: number of examples in an epoch.
    start: first position.
    stop: position after the last one.
  """
  pieces = [np.empty(0, np.int64)]
  while start < stop:
    number, first = divmod(start, length)
    last = min(first + stop - start, length)
    pieces.append(epoch(number)[first:last])
    start += last - first
  return np.concatenate(pieces)


def _shares(
    count: int, weights: tuple[fractions.Fraction, ...]
) -> tuple[int, ...]:
  """Returns how many of the first `count` positions each part gets.

  The result sums to `count` and never decreases as `count` grows: each part gets
  its share of the positions that the parts before it did not take, rounded
  down.
  """
  shares = []
  rest = sum(weights)
  for weight in weights:
    shares.append(int(count * weight // rest))
    count -= shares[-1]
    rest -= weight
  return tuple(shares)
