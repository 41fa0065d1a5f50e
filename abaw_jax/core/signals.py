"""Ctrl-C and SIGHUP, which a terminal sends to all processes started in it."""

from collections.abc import Iterator
import contextlib
from multiprocessing import resource_tracker
import signal
import sys
import threading


@contextlib.contextmanager
def ignored_by_workers() -> Iterator[None]:
  """Hides Ctrl-C and SIGHUP from worker processes that the block starts.

  Their parent ends them. Otherwise each would print its own traceback. Threads that
  the block starts, and their workers, are included.
  """
  resource_tracker.ensure_running()  # its start would unblock Ctrl-C
  # Workers inherit blocked signals, from their first instruction on.
  both = {signal.SIGINT, signal.SIGHUP}
  previous = signal.pthread_sigmask(signal.SIG_BLOCK, both)
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def repeat_lost_interrupts() -> None:
  """Sends Ctrl-C again if Python drops it.

  That happens in callbacks, such as those of the garbage collector. Python would
  print a traceback and continue.
  """
  show = sys.unraisablehook
  main = threading.main_thread().ident

  def handle(unraisable) -> None:
    if unraisable.exc_type is not KeyboardInterrupt:
      show(unraisable)
      return
    again = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
    again.daemon = True
    again.start()

  sys.unraisablehook = handle
