"""Runs of several processes: start, same settings, barrier and common end.

With one process, which is the usual case, every function returns at once.
"""

from collections.abc import Iterator, Mapping
import contextlib
import itertools
import json
import os
import socket
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

import jax

# No public API has the key-value store. `multihost_utils` runs programs on the
# devices, where the other processes may already wait for a failed one.
from jax._src import distributed

from abaw_jax.core import errors, failures, files, locks

# JAX ends all processes if one sends no heartbeat for so long. If a closed
# socket shows that it is dead, they end at once.
_HEARTBEAT_S = 60
# Processes wait for each other almost without limit: heartbeats find dead ones.
_WAIT_MS = 7 * 24 * 3600 * 1000
# A failed process waits so long for the others to read its error.
_EXIT_BARRIER_S = 5
_FAILURES = 'abaw_jax/failures/'
# Set for commands that a process of a cluster starts: each is a run of its own.
_CHILD = 'ABAW_JAX_CHILD'

_barrier_numbers = itertools.count()
_value_numbers = itertools.count()
_exiting = threading.Lock()  # never released: only the first thread exits


@contextlib.contextmanager
def joined(
    *,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout_s: int = 300,
) -> Iterator[None]:
  """Connects the processes of a run to one JAX cluster.

  Enter it before JAX uses any device. Without arguments, JAX finds the
  processes on SLURM, Open MPI, Kubernetes and Cloud TPU; elsewhere there is one
  process. An exception inside ends all processes.

  Args:
    coordinator: `host:port` of process 0.
    num_processes: number of processes; 1 alone turns off the search for others.
    process_id: index of this process, from 0.
    timeout_s: seconds that processes wait for each other to start.

  Raises:
    InputError: the arguments are not consistent, or the coordinator does not
      answer.
  """
  given = coordinator, num_processes, process_id
  if given == (None, 1, None) or (given == (None,) * 3 and not launcher()):
    yield
    return
  # `preemption.py` handles SIGTERM, and `agreement.py` shares it.
  jax.config.update('jax_enable_preemption_service', False)
  _initialize(coordinator, num_processes, process_id, timeout_s)
  os.environ[_CHILD] = '1'
  stop = threading.Event()
  watcher = threading.Thread(target=_watch_failures, args=(stop,), daemon=True)
  watcher.start()
  with exiting_together():
    yield
  stop.set()
  watcher.join()
  jax.distributed.shutdown()


@contextlib.contextmanager
def exiting_together() -> Iterator[None]:
  """Ends all processes if the block raises; each prints the message.

  Put this block inside any context that waits for other processes when it
  closes.
  """
  try:
    yield
  except (Exception, KeyboardInterrupt) as e:
    if distributed.global_state.client is None:
      raise
    line = failures.explain(e)
    if failures.is_interrupt(e):
      status, line = 130, 'interrupted'
    elif line:
      status = 2
    else:
      traceback.print_exc()
      status, line = 1, f'{type(e).__name__}: {e}'.partition('\n')[0]
    _exit(status, line)


def from_first(value: Any) -> Any:
  """Returns the JSON value of process 0 in all processes."""
  client = distributed.global_state.client
  if client is None:
    return value
  key = f'abaw_jax/values/{next(_value_numbers)}'
  if jax.process_index() == 0:
    client.key_value_set(key, json.dumps(value))
    return value
  return json.loads(client.blocking_key_value_get(key, _WAIT_MS))


def check_same(values: Mapping[str, Any]) -> None:
  """Waits for all processes and compares their values.

  Args:
    values: JSON values by the name that the error message shows.

  Raises:
    InputError: a value differs from the one of process 0.
  """
  if distributed.global_state.client is None:
    return
  theirs, ours = from_first(values), json.loads(json.dumps(values))
  wrong = [
      f'{name} is {ours.get(name)!r} here and {theirs.get(name)!r} there'
      for name in sorted(ours | theirs)
      if jax.process_index() and ours.get(name) != theirs.get(name)
  ]
  if wrong:
    raise errors.InputError(
        f'process {jax.process_index()} differs from process 0: '
        f'{"; ".join(wrong)}; start the same command in all processes, on the '
        'same files'
    )
  wait_for_all()


def wait_for_all() -> None:
  """Waits until every process has made the same call."""
  if distributed.global_state.client is not None:
    distributed.global_state.client.wait_at_barrier(
        f'abaw_jax/barriers/{next(_barrier_numbers)}', _WAIT_MS
    )


@contextlib.contextmanager
def holding(folder: files.Path, *, inside: bool = False) -> Iterator[None]:
  """Process 0 holds the lock of a folder, and all wait until it does.

  See `locks.held` for arguments and errors.
  """
  with contextlib.ExitStack() as stack:
    if distributed.global_state.process_id == 0:
      stack.enter_context(locks.held(folder, inside=inside))
    wait_for_all()
    yield


def check_single(message: str) -> None:
  """Raises an InputError with this message if the run has several processes."""
  if distributed.global_state.num_processes > 1:
    raise errors.InputError(message)


def launcher() -> str | None:
  """Returns the platform that started several processes, None for one process.

  JAX does not make this decision: it would start its service for one process
  too, and two runs on one machine would need the same port.
  """
  env = os.environ
  if _CHILD in env:
    return None
  if 'SLURM_STEP_NODELIST' in env and int(env.get('SLURM_NTASKS', '1')) > 1:
    return 'SLURM'
  if int(env.get('OMPI_COMM_WORLD_SIZE', '1')) > 1:
    return 'Open MPI'
  if 'KUBERNETES_SERVICE_HOST' in env and 'JOB_COMPLETION_INDEX' in env:
    return 'Kubernetes'
  # JAX sets this platform if it finds TPU chips. Only the metadata server knows
  # the number of hosts, unless these variables replace it.
  if 'tpu' in (jax.config.jax_platforms or '') and (
      'TPU_SKIP_MDS_QUERY' not in env
      or env.get('TPU_WORKER_HOSTNAMES', 'localhost') != 'localhost'
      or 'TPU_PROCESS_ADDRESSES' in env
  ):
    return 'Cloud TPU'
  return None


def _initialize(coordinator, num_processes, process_id, timeout_s) -> None:
  """Connects to the coordinator; JAX finds the arguments that are None."""
  given = coordinator, num_processes, process_id
  if given == (None,) * 3:
    where = f'the processes of {launcher()}'
  else:
    _check_flags(*given)
    where = f'--coordinator={coordinator}'
    if process_id == 0:
      print(f'{where}: waiting for {num_processes} processes', flush=True)
    else:
      # After a timeout of its own, JAX would print a stack trace.
      _wait_for_coordinator(coordinator, timeout_s)
  try:
    jax.distributed.initialize(
        *given,
        initialization_timeout=timeout_s,
        heartbeat_timeout_seconds=_HEARTBEAT_S,
    )
  except (RuntimeError, ValueError) as e:
    raise errors.InputError(
        f'{where}: {e}; give --coordinator=host:port --num_processes --process_id'
        ', with the host of process 0 and a free port that the others can reach'
    ) from e


def _check_flags(coordinator, num_processes, process_id) -> None:
  """Raises an InputError if the flags of this process are not consistent."""
  if None in (coordinator, num_processes, process_id):
    raise errors.InputError(
        '--coordinator, --num_processes and --process_id: give all three, or '
        'none of them on a platform that JAX knows (docs/scale.md)'
    )
  if not 0 <= process_id < num_processes:
    raise errors.InputError(
        f'--process_id={process_id}: give 0 to {num_processes - 1}, because '
        f'--num_processes is {num_processes}'
    )
  host, _, port = coordinator.rpartition(':')
  if not host or not port.isdecimal():
    raise errors.InputError(
        f'--coordinator={coordinator}: give host:port of process 0'
    )


def _wait_for_coordinator(coordinator: str, timeout_s: int) -> None:
  """Returns once the coordinator answers, or raises an InputError."""
  host, _, port = coordinator.rpartition(':')
  end = time.monotonic() + timeout_s
  while True:
    try:
      with socket.create_connection((host.strip('[]'), int(port)), 5):
        return
    except OSError as e:
      if time.monotonic() > end:
        raise errors.InputError(
            f'--coordinator={coordinator}: no answer within {timeout_s} s ({e}); '
            'start process 0 there, on an open port'
        ) from e
    time.sleep(0.2)


def _watch_failures(stop: threading.Event) -> None:
  """Ends this process if another one fails; runs in a thread."""
  client = distributed.global_state.client
  while not stop.wait(1.0):
    if failures := client.key_value_dir_get(_FAILURES):
      key, text = failures[0]
      status, line = json.loads(text)
      name = key.removeprefix(_FAILURES)
      _exit(status, f'process {name} failed: {line}', announce=False)


def _exit(status: int, line: str, *, announce: bool = True) -> NoReturn:
  """Ends this process and, with `announce`, all others.

  Nothing is closed, because that would wait for the other processes. The files
  look as after a kill, from which every command recovers.
  """
  client = distributed.global_state.client
  with _exiting:
    print(f'error: {line}', file=sys.stderr, flush=True)
    sys.stdout.flush()
    try:
      if announce:
        name = f'{_FAILURES}{distributed.global_state.process_id}'
        client.key_value_set(name, json.dumps([status, line]))
      # All exit together: without process 0 the others cannot read the error,
      # and a process whose connection breaks first would not print it.
      client.wait_at_barrier('abaw_jax/exit', _EXIT_BARRIER_S * 1000)
      if distributed.global_state.process_id == 0:
        time.sleep(1.0)  # without the coordinator, the others would abort
    except RuntimeError:
      print(
          'error: another process does not answer, it may have been killed; read '
          'its messages, then start the same command in all processes',
          file=sys.stderr,
          flush=True,
      )
    finally:
      os._exit(status)
