"""SIGTERM, which announces a preemption, and SIGHUP, if the terminal closes."""

import os
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
    self._terminal = [stream for stream in (1, 2) if os.isatty(stream)]
    self._previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, self._record)
    }
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
      self._previous[signal.SIGHUP] = signal.signal(
          signal.SIGHUP, self._hang_up
      )
    return self

  def __exit__(self, *_: object) -> None:
    """Restores the previous signal handlers."""
    for number, handler in self._previous.items():
      signal.signal(number, handler)

  def _record(self, *_: object) -> None:
    self.received = True

  def _hang_up(self, *_: object) -> None:
    """Records the signal; the terminal is closed, so it takes no more output."""
    self.received = True
    for stream in self._terminal:
      with open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), stream)
