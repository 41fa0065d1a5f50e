"""A run that loses its terminal can still save."""

import os
import signal
import subprocess
import sys

from abaw_jax.distributed import preemption
from tests.training import runs

SCRIPT = """
import sys
from abaw_jax.core import failures
from abaw_jax.distributed import preemption
failures.prepare_output()
with preemption.Notice() as stop:
  print('ready', flush=True)
  print('a warning', file=sys.stderr, flush=True)
  sys.stdin.readline()
  print('saving', flush=True)
  print('a warning', file=sys.stderr, flush=True)
  sys.exit(7 if stop.received else 8)
"""


def test_output_to_a_closed_terminal_does_not_end_the_run():
  for number, status in ((signal.SIGHUP, 7), (0, 8)):  # 0 sends no signal
    terminal, end = os.openpty()
    process = subprocess.Popen(
        [sys.executable, '-c', SCRIPT],
        stdin=subprocess.PIPE,
        stdout=end,
        stderr=end,
        env=runs.environment(),
    )
    os.close(end)
    shown = b''
    while not shown.endswith(b'ready\r\na warning\r\n'):
      shown += os.read(terminal, 100)
    os.close(terminal)
    process.send_signal(number)
    process.communicate(b'\n', timeout=60)
    assert process.returncode == status


def test_sighup_stays_ignored_under_nohup():
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with preemption.Notice() as stop:
      os.kill(os.getpid(), signal.SIGHUP)
      assert not stop.received
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
  finally:
    signal.signal(signal.SIGHUP, before)
