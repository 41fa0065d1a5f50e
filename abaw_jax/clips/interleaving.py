"""Reads several sources in threads, into one bounded queue."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import queue
import threading
from typing import Any, NamedTuple

from abaw_jax.core import errors

# Seconds between two looks at whether the readers must stop.
_PATIENCE = 0.2


class End(NamedTuple):
  """Follows the last item of a source."""

  error: errors.InputError | OSError | None  # why it ended early


def interleaved(
    sources: Sequence[Any],
    read: Callable[[Any], Iterable[Any]],
    *,
    threads: int,
    waiting: int,
) -> Iterator[tuple[Any, Any]]:
  """Yields (source, item) as items are read, then (source, End) for each source.

  At most `waiting` items are held, so the memory does not depend on the length of the
  sources. Each source is read by one thread, in order. The threads end when this
  generator is closed.

  Args:
    sources: to read, in this order.
    read: yields the items of a source; an InputError or an OSError ends this
      source only.
    threads: number of sources that are read at the same time.
    waiting: largest number of items that wait.

  Raises:
    Exception: any other exception of `read`.
  """
  items: queue.Queue[tuple[Any, Any]] = queue.Queue(waiting)
  left = iter(sources)
  lock = threading.Lock()
  stopped = threading.Event()

  def put(source: Any, item: Any) -> bool:
    while not stopped.is_set():
      try:
        items.put((source, item), timeout=_PATIENCE)
        return True
      except queue.Full:
        continue
    return False

  def work() -> None:
    while not stopped.is_set():
      with lock:
        source = next(left, stopped)
      if source is stopped:
        return
      try:
        for item in read(source):
          if not put(source, item):
            return
        put(source, End(None))
      except (errors.InputError, OSError) as e:
        put(source, End(e))
      except BaseException as e:  # a bug: raised again by the consumer
        put(source, e)
        return

  workers = [
      threading.Thread(target=work, daemon=True)
      for _ in range(min(threads, len(sources)))
  ]
  for worker in workers:
    worker.start()
  try:
    ended = 0
    while ended < len(sources):
      source, item = items.get()
      if isinstance(item, BaseException):
        raise item
      ended += isinstance(item, End)
      yield source, item
  finally:
    stopped.set()
    for worker in workers:
      worker.join(timeout=10)
