"""The endless order in which training walks through its examples."""

from collections.abc import Callable
import dataclasses
import fractions
import functools

from jaxtyping import Int
import numpy as np


@dataclasses.dataclass(frozen=True)
class AsItIs:
  """The order of a source that has one of its own."""

  def indices(self, start: int, stop: int) -> list[int]:
    """Returns the examples at positions from `start` to before `stop`."""
    return list(range(start, stop))


@dataclasses.dataclass(frozen=True)
class Order:
  """Which example stands at each position from 0 on: a function of the seed.

  Without weights epoch e is a permutation of all examples, drawn from (seed, e).
  With weights an epoch is as long, but each part of the source has its share of
  it: of all positions so far, its weight over their sum, to within as many
  examples as there are parts. A part walks through epochs of its own, each a
  permutation: those drawn too often for their size repeat, the others go on
  where they stopped.

  Attributes:
    sizes: examples of each part, at least 1.
    weights: how often each part is drawn, above 0; None means by size.
    seed: any integer from 0.
  """

  sizes: tuple[int, ...]
  weights: tuple[fractions.Fraction, ...] | None
  seed: int

  def indices(self, start: int, stop: int) -> list[int]:
    """Returns the examples at positions from `start` to before `stop`.

    An index counts through the examples of all parts, one after the other.
    """
    epoch = functools.partial(_epoch, self)
    return _walk(epoch, sum(self.sizes), start, stop).tolist()


# Threads that cross an epoch together need two orders, hardly ever more.
@functools.lru_cache(maxsize=4)
def _epoch(order: Order, epoch: int) -> Int[np.ndarray, 'n']:
  """Returns the examples of one epoch."""
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
    own = functools.partial(_part_epoch, order.seed, part, size)
    drawn = _walk(own, size, starts[part], stops[part])
    indices[part_at == part] = first + drawn
    first += size
  return indices


def _part_epoch(
    seed: int, part: int, size: int, epoch: int
) -> Int[np.ndarray, 'n']:
  # The last number is above 0, which keeps this apart from (seed, epoch).
  return np.random.default_rng([seed, epoch, part + 1]).permutation(size)


def _walk(
    epoch: Callable[[int], Int[np.ndarray, 'n']],
    length: int,
    start: int,
    stop: int,
) -> Int[np.ndarray, '{stop-start}']:
  """Returns what stands from `start` to `stop` in epochs one after the other."""
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
  """Returns how many of the first `count` positions each part has; the sum is it.

  Never falls as `count` grows: each part takes its share of what those before
  it have left, rounded down.
  """
  shares = []
  rest = sum(weights)
  for weight in weights:
    shares.append(int(count * weight // rest))
    count -= shares[-1]
    rest -= weight
  return tuple(shares)
