"""Child processes as forks of one process that has imported the libraries once.

Most of the time of a short command goes into these imports. `start` asks a server for a
fork, which acts like a new interpreter with the same arguments. The server has no
threads and no devices.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pathlib
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import types

ROOT = pathlib.Path(__file__).parents[1]
_BYTES = 1 << 20  # of a request
# They import most of what commands import.
IMPORTED = (
    'clips.predicting', 'conversion.convert', 'data_builders.datasets',
    'inference.evaluation', 'inference.reconstruction', 'postprocessing.tuning',
    'training.loop', 'upscaling.command', 'workflow.studies',
)  # fmt: skip


class Process:
  """A started fork, with the attributes of `subprocess.Popen`."""

  def __init__(self, status: int, stdout: int, stderr: int):
    # Unbuffered, so that `select` knows whether another line is there.
    self._status = os.fdopen(status, 'rb', buffering=0)
    self.stdout = os.fdopen(stdout)
    self.stderr = os.fdopen(stderr)
    self.pid = int(self._status.readline())
    self.returncode = None

  def poll(self) -> int | None:
    return self._ended(0)

  def wait(self, timeout: float | None = None) -> int:
    if self._ended(timeout) is None:
      raise subprocess.TimeoutExpired(str(self.pid), timeout)
    return self.returncode

  def communicate(self, timeout: float | None = None) -> tuple[str, str]:
    """Returns (stdout, stderr) of an ended process; kills it after a time."""
    late = threading.Timer(timeout or threading.TIMEOUT_MAX, self.kill)
    late.start()
    errors = []
    reader = threading.Thread(target=lambda: errors.append(self.stderr.read()))
    reader.start()
    with self.stdout, self.stderr:
      out = self.stdout.read()
      reader.join()
    self.wait()
    late.cancel()
    return out, errors[0]

  def send_signal(self, number: int) -> None:
    # It may end at this moment.
    with contextlib.suppress(ProcessLookupError):
      if self.poll() is None:
        os.kill(self.pid, number)

  def kill(self) -> None:
    self.send_signal(signal.SIGKILL)

  def _ended(self, timeout: float | None) -> int | None:
    running = self.returncode is None
    if running and select.select([self._status], [], [], timeout)[0]:
      with self._status:
        self.returncode = int(self._status.readline())
    return self.returncode


def start(*arguments: str, cwd: pathlib.Path, env: dict[str, str]) -> Process:
  """Returns a fork that runs `python *arguments`: `-m module ...` or `-c code ...`."""
  request = json.dumps([arguments, os.fspath(cwd), env])
  pipes = [os.pipe() for _ in range(3)]
  _, connection = _server()
  socket.send_fds(connection, [request.encode()], [end for _, end in pipes])
  for _, end in pipes:
    os.close(end)
  return Process(*(first for first, _ in pipes))


@functools.cache
def _server() -> tuple[subprocess.Popen, socket.socket]:
  """Starts the server, which ends with this process."""
  ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
  for end in (ours, theirs):
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BYTES)
  with theirs:
    server = subprocess.Popen(
        [sys.executable, '-m', 'tests.forked', str(theirs.fileno())],
        cwd=ROOT,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        stdin=subprocess.DEVNULL,
        # Pipes, like those of the forks: a stream asks only once whether it can seek.
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[theirs.fileno()],
    )
  atexit.register(_stop, server, ours)
  return server, ours


def _stop(server: subprocess.Popen, connection: socket.socket) -> None:
  connection.close()
  server.communicate()


def _serve(connection: socket.socket) -> list[str] | None:
  """Forks for each request; returns its arguments in a fork, None at the end."""
  while True:
    request, ends, *_ = socket.recv_fds(connection, _BYTES, 3)
    if not request:
      return None
    parent = os.fork()
    if not parent:
      connection.close()
      return _fork(*json.loads(request), *ends)
    for end in ends:
      os.close(end)
    while os.waitpid(-1, os.WNOHANG)[0]:
      pass


def _fork(arguments, cwd, env, status, stdout, stderr) -> list[str]:
  """Prepares a child and returns in it; its parent reports its end."""
  child = os.fork()
  if child:
    os.write(status, f'{child}\n'.encode())
    for end in (stdout, stderr):
      os.close(end)
    _, ended = os.waitpid(child, 0)
    os.write(status, f'{os.waitstatus_to_exitcode(ended)}\n'.encode())
    os._exit(0)
  for number, end in {1: stdout, 2: stderr}.items():
    os.dup2(end, number)
  for end in (status, stdout, stderr):
    os.close(end)
  os.chdir(cwd)
  changed = {key: env[key] for key in env if os.environ.get(key) != env[key]}
  os.environ.clear()
  os.environ.update(env)
  _set_options(changed)
  sys.path[0] = cwd
  return arguments


def _set_options(env: dict[str, str]) -> None:
  """Sets the options that JAX read from the environment when it was imported."""
  import jax

  for key, text in env.items():
    if key.startswith('JAX_'):
      old = getattr(jax.config, key.lower())
      is_number = isinstance(old, int | float)
      value = type(old)(json.loads(text)) if is_number else text
      jax.config.update(key.lower(), value)


def _status(arguments: list[str]) -> int:
  """Does what `python *arguments` does; returns its exit status."""
  kind, program, *rest = arguments
  sys.argv = [kind, *rest]
  try:
    if kind == '-m':
      sys.argv[0] = program
      runpy.run_module(program, run_name='__main__', alter_sys=True)
    else:
      main = sys.modules['__main__'] = types.ModuleType('__main__')
      exec(compile(program, '<string>', 'exec'), vars(main))
  except SystemExit as end:
    if end.code is None or isinstance(end.code, int):
      return end.code or 0
    print(end.code, file=sys.stderr)
    return 1
  except BaseException:
    traceback.print_exc()
    return 1
  return 0


def _exit(statuses: list[int]) -> None:
  """Ends a fork; the interpreter would take some time to remove all modules."""
  for status in statuses:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _main() -> None:
  statuses = []
  atexit.register(_exit, statuses)  # registered first, so called last
  for name in IMPORTED:
    importlib.import_module(f'abaw_jax.{name}')
  gc.freeze()
  with socket.socket(fileno=int(sys.argv[1])) as connection:
    arguments = _serve(connection)
  if arguments:
    statuses.append(_status(arguments))


if __name__ == '__main__':
  _main()
