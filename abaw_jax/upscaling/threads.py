"""A map whose function runs in threads, ahead of its consumer."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

T = TypeVar('T')
U = TypeVar('U')

COUNT = 4  # threads; decoders and encoders release the GIL
_AHEAD = 4 * COUNT  # results that may wait


def mapped(function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
  """Yields function(item) for every item, in order."""
  with futures.ThreadPoolExecutor(COUNT) as pool:
    pending = collections.deque()
    for item in items:
      pending.append(pool.submit(function, item))
      while pending and (pending[0].done() or len(pending) > _AHEAD):
        yield pending.popleft().result()
    while pending:
      yield pending.popleft().result()
