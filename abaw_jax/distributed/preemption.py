"""The notice that preempted machines get before they are taken."""

import signal


class Notice:
  """Notes SIGTERM while it is entered.

  Attributes:
    received: whether the signal has come.
  """

  def __enter__(self) -> 'Notice':
    """Returns the notice itself."""
    self.received = False
    self._before = signal.signal(signal.SIGTERM, self._note)
    return self

  def __exit__(self, *_: object) -> None:
    """Gives the signal back its earlier meaning."""
    signal.signal(signal.SIGTERM, self._before)

  def _note(self, *_: object) -> None:
    self.received = True
