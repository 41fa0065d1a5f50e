"""Ctrl-C, wrong flags, closed terminals, and failures of the machine as one line."""

from collections.abc import Iterator
import contextlib
import errno
import glob
import io
import multiprocessing
from multiprocessing import resource_tracker
import os
import pathlib
import re
import signal
import sys
import threading
import traceback
from typing import NoReturn

from absl import flags

from abaw_jax.core import errors, storage_errors


def explain(error: BaseException | None) -> str | None:
  """Returns one line about wrong input or a failure of the machine.

  None means that the exception is a bug.
  """
  if isinstance(error, errors.InputError):
    return str(error)
  while error is not None:
    line = (
        storage_errors.line(error)
        or _missing_platform(error)
        or _out_of_memory(error)
    )
    if line:
      return line
    error = error.__cause__
  return None


def is_interrupt(error: BaseException | None) -> bool:
  """Returns whether Ctrl-C caused an exception, perhaps while it was handled."""
  while error is not None and not isinstance(error, KeyboardInterrupt):
    error = error.__cause__ or error.__context__
  return error is not None


@contextlib.contextmanager
def hide_ctrl_c_from_workers() -> Iterator[None]:
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


class _Terminal(io.FileIO):
  """File of a terminal; after the terminal has closed, output is dropped."""

  def write(self, data: bytes) -> int | None:
    """Returns the number of bytes that were written or dropped."""
    try:
      return super().write(data)
    except OSError as e:
      if e.errno != errno.EIO:
        raise
      with open(os.devnull, 'wb') as nowhere:
        os.dup2(nowhere.fileno(), self.fileno())
      return len(data)


def prepare_output() -> None:
  """Prepares stdout and stderr, so that neither text nor a closed terminal fails.

  File names can have any bytes: they are escaped. After the terminal of a stream has
  closed, text is dropped: a run continues, or saves after SIGHUP.
  """
  for name in ('stdout', 'stderr'):
    stream = getattr(sys, name)
    stream.reconfigure(errors='backslashreplace')
    if not stream.isatty():
      continue
    file = io.BufferedWriter(_Terminal(stream.fileno(), 'w', closefd=False))
    new = io.TextIOWrapper(
        file, stream.encoding, stream.errors, line_buffering=True
    )
    setattr(sys, name, new)


def repeat_lost_interrupts() -> None:
  """Sends Ctrl-C again if Python drops it.

  That happens in callbacks, such as those of the garbage collector. Python would
  print a traceback and continue.
  """
  # Ended workers leave semaphores, and their tracker removes them with a warning.
  os.environ.setdefault('PYTHONWARNINGS', 'ignore:resource_tracker')
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


def exit_interrupted() -> NoReturn:
  """Ends the process after Ctrl-C, with one line.

  All files are closed. The threads of libraries are not: they would only print that
  they were interrupted.
  """
  print('interrupted', file=sys.stderr, flush=True)
  sys.stdout.flush()
  for worker in multiprocessing.active_children():
    worker.kill()
  os._exit(130)  # as a shell reports SIGINT


def silence_libtpu() -> None:
  """Sets variables that libtpu complains about on a machine without a TPU.

  JAX loads libtpu wherever it is installed. This has no effect if there is a TPU.
  """
  # A TPU is a PCI device of Google, which also makes a network card.
  for vendor in glob.glob('/sys/bus/pci/devices/*/vendor'):
    folder = pathlib.Path(vendor).parent
    ids = [(folder / name).read_text().strip() for name in ('vendor', 'device')]
    if ids[0] == '0x1ae0' and ids[1] != '0x0042':
      return
  if glob.glob('/dev/accel*') or glob.glob('/dev/vfio/[0-9]*'):
    return
  os.environ.setdefault('TPU_ACCELERATOR_TYPE', 'v5litepod-4')
  os.environ.setdefault('TPU_WORKER_HOSTNAMES', 'localhost')


def _missing_platform(error: BaseException) -> str | None:
  """Returns a line if JAX found no device of the platform that is asked for."""
  frames = traceback.extract_tb(error.__traceback__)
  if not frames or not frames[-1].filename.endswith('jax/_src/xla_bridge.py'):
    return None
  reason = str(error).partition(' (set JAX_PLATFORMS')[0]
  return (
      f'JAX_PLATFORMS={os.environ.get("JAX_PLATFORMS", "")}: no such device here '
      f'({reason or "its plugin for JAX is not installed"}); unset it to use the '
      'devices of this machine'
  )


def _out_of_memory(error: BaseException) -> str | None:
  """Returns a line if a device has too little memory."""
  text = str(error).partition('\n')[0]
  # The module of this class slows --help down.
  if type(error).__name__ != 'JaxRuntimeError' or not text.startswith(
      'RESOURCE_EXHAUSTED'
  ):
    return None
  return (
      f'the device has too little memory ({text[:200]}); for training, raise '
      '--config.optim.microbatches, set --config.model.remat=dots or all, or '
      'lower --config.data.batch_size; for other commands, lower the batch size'
  )


def explain_flag(text: str) -> str:
  """Returns a line of absl's message; one of a missing flag gets its help."""
  match = re.match(r'--(\w+)=None: ', text)
  if not match:
    return text
  meaning = ' '.join(flags.FLAGS[match[1]].help.split()).rstrip('.')
  return f'--{match[1]} is missing ({meaning})'
