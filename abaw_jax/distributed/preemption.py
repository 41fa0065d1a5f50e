"""SIGTERM, the signal that a machine sends before it is preempted."""

import signal


class Notice:
  """Records SIGTERM inside a `with` block instead of ending the process.

  Attributes:
    received: whether the signal has arrived.
  """

  def __enter__(self) -> 'Notice':
    """Returns the notice itself."""
    self.received = False
    self._previous = signal.signal(signal.SIGTERM, self._record)
    return self

  def __exit__(self, *_: object) -> None:
    """Restores the previous signal handler."""
    signal.signal(signal.SIGTERM, self._previous)

  def _record(self, *_: object) -> None:
    self.received = True
