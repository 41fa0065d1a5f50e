"""A run that loses its terminal can still save."""

import os
import signal
import subprocess
import sys

from abaw_jax.distributed import preemption
from tests.training import runs

SCRIPT = """
import sys, time
from abaw_jax.distributed import preemption
with preemption.Notice() as stop:
  print('ready', flush=True)
  for _ in range(300):
    if stop.received:
      print('saving', flush=True)
      sys.exit(7)
    time.sleep(0.1)
"""


def test_output_to_a_closed_terminal_does_not_end_the_run():
  terminal, end = os.openpty()
  process = subprocess.Popen(
      [sys.executable, '-c', SCRIPT],
      stdout=end,
      stderr=end,
      env=runs.environment(),
  )
  os.close(end)
  assert os.read(terminal, 100).startswith(b'ready')
  os.close(terminal)
  process.send_signal(signal.SIGHUP)
  assert process.wait(60) == 7


def test_sighup_stays_ignored_under_nohup():
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with preemption.Notice() as stop:
      os.kill(os.getpid(), signal.SIGHUP)
      assert not stop.received
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
  finally:
    signal.signal(signal.SIGHUP, before)
