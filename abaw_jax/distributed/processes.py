"""Several processes that train as one: how they meet, agree and end together.

With one process, the usual case, everything here returns at once.
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
from jax._src import distributed  # the only way to the key-value store

from abaw_jax.core import errors

# A process that gives no sign of life for so long is dead, and JAX ends the
# others. Where sockets tell it at once, they end at once.
_HEARTBEAT_S = 60
# How long processes wait for each other: for ever, as the dead are noticed.
_WAIT_MS = 7 * 24 * 3600 * 1000
# How long a failed process waits until all others know.
_FAREWELL_S = 5
_FAILURES = 'abaw_jax/failures/'
# Set for the commands that a joined process starts: they are alone.
_CHILD = 'ABAW_JAX_CHILD'

_meetings = itertools.count()
_checks = itertools.count()
_leaving = threading.Lock()  # the first to leave keeps it


@contextlib.contextmanager
def joined(
    *,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout_s: int = 300,
) -> Iterator[None]:
  """Joins the processes of a run to one JAX cluster; enter before any device.

  Without arguments that is left to JAX where it knows the platform: SLURM, Open
  MPI, Kubernetes and Cloud TPU; elsewhere there is one process. Whatever ends
  one process inside ends all of them.

  Args:
    coordinator: `host:port` at which process 0 can be reached.
    num_processes: number of processes; 1 forbids to look for others.
    process_id: which of them this is, from 0.
    timeout_s: seconds that processes wait for each other to start.

  Raises:
    InputError: the arguments do not fit, or nobody is there.
  """
  given = coordinator, num_processes, process_id
  if given == (None, 1, None) or (given == (None,) * 3 and not launcher()):
    yield
    return
  # One SIGTERM handler is enough, see `agreement.py`.
  jax.config.update('jax_enable_preemption_service', False)
  _initialize(coordinator, num_processes, process_id, timeout_s)
  os.environ[_CHILD] = '1'
  stop = threading.Event()
  watcher = threading.Thread(target=_watch, args=(stop,), daemon=True)
  watcher.start()
  with ending_together():
    yield
  stop.set()
  watcher.join()
  jax.distributed.shutdown()


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
  """Lets an exception inside end all processes at once, with its message.

  Put it inside of whatever waits for other processes when it is closed.
  """
  try:
    yield
  except (Exception, KeyboardInterrupt) as e:
    if distributed.global_state.client is None:
      raise
    if isinstance(e, errors.InputError):
      status, line = 2, str(e)
    elif isinstance(e, KeyboardInterrupt):
      status, line = 130, 'interrupted'
    else:
      traceback.print_exc()
      status, line = 1, f'{type(e).__name__}: {e}'.partition('\n')[0]
    _leave(status, line)


def check_same(facts: Mapping[str, Any]) -> None:
  """Waits for all processes and raises unless they hold the same.

  Args:
    facts: values by the name that a message gives them, as JSON.

  Raises:
    InputError: a value differs from that of process 0.
  """
  client = distributed.global_state.client
  if client is None:
    return
  key = f'abaw_jax/facts/{next(_checks)}'
  if jax.process_index() == 0:
    client.key_value_set(key, json.dumps(facts))
  else:
    theirs = json.loads(client.blocking_key_value_get(key, _WAIT_MS))
    ours = json.loads(json.dumps(facts))
    wrong = [
        f'{name} is {ours.get(name)!r} here and {theirs.get(name)!r} there'
        for name in sorted(ours | theirs)
        if ours.get(name) != theirs.get(name)
    ]
    if wrong:
      raise errors.InputError(
          f'process {jax.process_index()} differs from process 0: '
          f'{"; ".join(wrong)}; start the same command in all processes, on the '
          'same files'
      )
  meet()


def meet() -> None:
  """Waits until all processes have called this as often."""
  if distributed.global_state.client is not None:
    distributed.global_state.client.wait_at_barrier(
        f'abaw_jax/meetings/{next(_meetings)}', _WAIT_MS
    )


def check_one(message: str) -> None:
  """Raises an InputError with this message where there are several processes."""
  if distributed.global_state.num_processes > 1:
    raise errors.InputError(message)


def launcher() -> str | None:
  """Returns who has started several processes that JAX can ask, None if nobody.

  That is decided here because JAX would start its service for one process too,
  and two runs on one machine would want the same port.
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
  # JAX sets this where it finds the chips of a TPU. How many hosts there are
  # only its metadata tell, unless they are hidden.
  if 'tpu' in (jax.config.jax_platforms or '') and (
      'TPU_SKIP_MDS_QUERY' not in env
      or 'TPU_WORKER_HOSTNAMES' in env
      or 'TPU_PROCESS_ADDRESSES' in env
  ):
    return 'Cloud TPU'
  return None


def _initialize(coordinator, num_processes, process_id, timeout_s) -> None:
  """Connects to the coordinator; JAX finds out what is None."""
  given = coordinator, num_processes, process_id
  if given == (None,) * 3:
    where = f'the processes that {launcher()} has started'
  else:
    _check(*given)
    where = f'--coordinator={coordinator}'
    if process_id == 0:
      print(f'{where}: waiting for {num_processes} processes', flush=True)
    else:
      # JAX would end in a stack trace when the time is over.
      _reach(coordinator, timeout_s)
  try:
    jax.distributed.initialize(
        *given,
        initialization_timeout=timeout_s,
        heartbeat_timeout_seconds=_HEARTBEAT_S,
    )
  except (RuntimeError, ValueError) as e:
    raise errors.InputError(
        f'{where}: {e}; give --coordinator=host:port --num_processes --process_id'
        ', with a host and a port of process 0 that are free and open to the '
        'others'
    ) from e


def _check(coordinator, num_processes, process_id) -> None:
  """Raises an InputError if the flags do not say where this process belongs."""
  if None in (coordinator, num_processes, process_id):
    raise errors.InputError(
        '--coordinator, --num_processes and --process_id: give all three, or '
        'none of them where the platform tells them (docs/scale.md)'
    )
  if not 0 <= process_id < num_processes:
    raise errors.InputError(
        f'--process_id={process_id}: give 0 to {num_processes - 1}, as '
        f'--num_processes is {num_processes}'
    )
  host, _, port = coordinator.rpartition(':')
  if not host or not port.isdecimal():
    raise errors.InputError(
        f'--coordinator={coordinator}: give host:port of process 0'
    )


def _reach(coordinator: str, timeout_s: int) -> None:
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
            f'--coordinator={coordinator}: cannot be reached within {timeout_s} '
            f's ({e}); start process 0 there, on a port that is open'
        ) from e
    time.sleep(0.2)


def _watch(stop: threading.Event) -> None:
  """Ends this process when another one has failed."""
  client = distributed.global_state.client
  while not stop.wait(1.0):
    if failures := client.key_value_dir_get(_FAILURES):
      key, text = failures[0]
      status, line = json.loads(text)
      name = key.removeprefix(_FAILURES)
      _leave(status, f'process {name} has failed: {line}', announce=False)


def _leave(status: int, line: str, *, announce: bool = True) -> NoReturn:
  """Ends this process and, with `announce`, all others.

  Nothing is closed: that would wait for processes that cannot come any more. On
  disk it looks as after a kill, from which every command recovers.
  """
  client = distributed.global_state.client
  with _leaving:
    print(f'error: {line}', file=sys.stderr, flush=True)
    sys.stdout.flush()
    try:
      if announce:
        name = f'{_FAILURES}{distributed.global_state.process_id}'
        client.key_value_set(name, json.dumps([status, line]))
      # Process 0 serves the others: it must not go before they know. They stay
      # too, or a broken connection would reach them before the reason.
      client.wait_at_barrier('abaw_jax/farewell', _FAREWELL_S * 1000)
    except RuntimeError:
      print(
          'error: another process does not answer; it may have been killed, and '
          'its own messages say more: start the same command in all processes',
          file=sys.stderr,
          flush=True,
      )
    finally:
      os._exit(status)
