"""Sources that are read in threads: order, bound, errors and end."""

import threading
import time

import pytest

from abaw_jax.clips import interleaving
from abaw_jax.core import errors


@pytest.mark.parametrize('threads', [1, 3])
def test_each_source_is_in_order_and_has_an_end(threads):
  def read(source):
    yield from range(source)
    if source == 3:
      raise errors.InputError('damaged')

  found = {}
  for source, item in interleaving.interleaved(
      [5, 3, 0, 8], read, threads=threads, waiting=2
  ):
    found.setdefault(source, []).append(item)
  assert found.keys() == {5, 3, 0, 8}
  for source, items in found.items():
    assert items[:-1] == list(range(source))
    error = items[-1].error
    assert (str(error) if error else '') == ('damaged' if source == 3 else '')


def test_readers_are_only_a_little_ahead_and_end_with_the_consumer():
  count = 0

  def read(_):
    nonlocal count
    while True:
      count += 1
      yield count

  before = threading.active_count()
  items = interleaving.interleaved(['a'], read, threads=1, waiting=4)
  for i, _ in enumerate(items):
    assert count <= i + 4 + 2
    if i == 50:
      break
  time.sleep(0.05)
  assert count <= 50 + 4 + 2
  items.close()
  assert threading.active_count() == before


def test_a_bug_in_a_reader_is_raised():
  def read(_):
    yield 1
    raise ZeroDivisionError

  with pytest.raises(ZeroDivisionError):
    list(interleaving.interleaved(['a', 'b'], read, threads=2, waiting=1))
