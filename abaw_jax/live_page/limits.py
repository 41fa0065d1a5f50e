"""Limits of a session, so that a wrong or hostile client cannot hurt the server."""

import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Limits:
  """Limits of one session.

  Attributes:
    message_bytes: of one picture with its time.
    pixels: of one picture.
    side: smallest width and height of a picture.
    pictures_per_second: on average over a few seconds.
    idle_seconds: without a picture, after which a session ends.
  """

  message_bytes: int = 2**21
  pixels: int = 4_000_000
  side: int = 16
  pictures_per_second: float = 120.0
  idle_seconds: float = 120.0


class RateLimit:
  """A token bucket that holds the pictures of two seconds."""

  def __init__(self, per_second: float):
    self._per_second = per_second
    self._capacity = max(2 * per_second, 1.0)
    self._left = self._capacity
    self._last = time.monotonic()

  def take(self) -> bool:
    """Counts one picture; returns False if it is one too many."""
    now = time.monotonic()
    gained = (now - self._last) * self._per_second
    self._left = min(self._left + gained, self._capacity) - 1
    self._last = now
    return self._left >= 0
