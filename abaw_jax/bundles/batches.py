"""Batches of a few fixed sizes, so that little is compiled."""

from collections.abc import Iterator, Sequence

# Share of a padded batch that must be real.
_FULL = 0.75


def split(count: int, sizes: Sequence[int]) -> Iterator[tuple[slice, int]]:
  """Yields (items, size of their batch) until all `count` items have a batch.

  A batch is padded only if most of it is real; otherwise smaller ones follow.

  Args:
    count: number of items.
    sizes: allowed sizes, ascending; the first one is 1.
  """
  start = 0
  while start < count:
    left = count - start
    size = next(size for size in reversed(sizes) if left >= _FULL * size)
    stop = min(start + size, count)
    yield slice(start, stop), size
    start = stop
