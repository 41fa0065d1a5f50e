"""A full disk for tests."""

from collections.abc import Iterator
import contextlib
import resource


@contextlib.contextmanager
def full(num_bytes: int) -> Iterator[None]:
  """Makes every write beyond this size of a file fail."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
