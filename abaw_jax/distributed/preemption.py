"""SIGTERM, which announces a preemption, and SIGHUP, if the terminal closes."""

import signal


class Notice:
  """Records SIGTERM and SIGHUP in a `with` block instead of ending the process.

  SIGHUP stays ignored if it is ignored, as after `nohup`.

  Attributes:
    received: whether one of the signals has arrived.
  """

  def __enter__(self) -> 'Notice':
    """Returns the notice itself."""
    self.received = False
    self._previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, self._record)
    }
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
      self._previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._record)
    return self

  def __exit__(self, *_: object) -> None:
    """Restores the previous signal handlers."""
    for number, handler in self._previous.items():
      signal.signal(number, handler)

  def _record(self, *_: object) -> None:
    self.received = True
