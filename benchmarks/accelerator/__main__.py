r"""Prints one Markdown report about this project on the accelerator of a machine.

  python -m benchmarks.accelerator --minutes=8 --out=report.md
  python -m benchmarks.accelerator --sections=attention,mae --minutes=3
  python -m benchmarks.accelerator --smoke

It checks the models against the CPU, resumes a run, times train steps against
PyTorch, feature extraction and fused attention, and shows memory and the largest
operations. It needs JAX, Flax and Optax, and no data. A missing PyTorch, Grain or
TFDS is a note in the tables.

Each section is a process of its own, so a crash or lack of memory ends only this
section. --minutes includes compilation; the most important sections come first and
get a fixed share of the time that is left. --smoke runs tiny models in one process.
The exit status is 1 if a section failed or a check did not pass.
"""

from benchmarks.accelerator import stand_ins

stand_ins.install()

from collections.abc import Callable, Sequence  # noqa: E402
import contextlib  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

from absl import flags  # noqa: E402

from abaw_jax.core import cli  # noqa: E402
from benchmarks.accelerator import worker  # noqa: E402

# A section that is late ends after this multiple of its time.
_LATE = 1.3
# No section starts with fewer seconds.
_START = 5.0


def run_section(
    command: Sequence[str],
    write: Callable[[str], object],
    *,
    seconds: float,
    environment: dict[str, str],
) -> bool:
  """Copies the output of a process to the report; returns whether it failed.

  The process and its children are killed when the time is over, and when this
  function is left early.

  Args:
    command: of the process.
    write: receives every line.
    seconds: time until the process is killed.
    environment: of the process.
  """
  process = subprocess.Popen(
      command,
      stdout=subprocess.PIPE,
      text=True,
      env=environment,
      process_group=0,
  )
  late = threading.Event()

  def kill() -> None:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal.SIGKILL)

  def end_late() -> None:
    late.set()
    kill()

  timer = threading.Timer(seconds, end_late)
  timer.daemon = True
  timer.start()
  try:
    for line in process.stdout:
      write(line.rstrip('\n'))
    status = process.wait()
  finally:
    timer.cancel()
    kill()
    process.stdout.close()
    process.wait()
  if late.is_set():
    write(f'\nended after {seconds:.0f} s, its time was over\n')
  elif status not in (0, 1):
    write(f'\n**failed** with exit status {status}\n')
    return True
  return status == 1


def environment(folder: pathlib.Path) -> dict[str, str]:
  """Returns variables for sections, with temporary files in a folder."""
  # A later section does not compile a step of an earlier one again.
  cache = {
      'JAX_COMPILATION_CACHE_DIR': str(folder / 'jax'),
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.3',
      'TORCHINDUCTOR_CACHE_DIR': str(folder / 'inductor'),
  }
  return cache | os.environ | {'TMPDIR': str(folder)}


def main() -> int:
  """Runs all sections."""
  args = flags.FLAGS
  end = time.monotonic() + 60 * args.minutes
  unknown = set(args.sections) - worker.SECTIONS.keys()
  if unknown:
    cli.fail(
        f'--sections: unknown {sorted(unknown)}; choose from '
        f'{", ".join(worker.SECTIONS)}'
    )
  names = [name for name in worker.SECTIONS if name in args.sections]
  jobs = [names] if args.smoke else [[name] for name in names]
  # SIGTERM ends the running section like Ctrl-C does.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
  failed = False
  with contextlib.ExitStack() as stack:
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    out = stack.enter_context(open(args.out, 'w')) if args.out else None

    def write(line: str) -> None:
      for stream in filter(None, (out, sys.stdout)):
        print(line, file=stream, flush=True)

    ended = False
    try:
      write('# Report of an accelerator\n')
      for number, job in enumerate(jobs):
        left = end - time.monotonic()
        if left < _START:
          for name in job:
            write(
                f'## {worker.SECTIONS[name].title}\n\nskipped, no time left\n'
            )
          continue
        shares = [
            sum(worker.SECTIONS[name].share for name in later)
            for later in jobs[number:]
        ]
        seconds = left * shares[0] / sum(shares)
        command = [
            sys.executable, '-m', 'benchmarks.accelerator.worker',
            f'--seconds={seconds:.1f}',
            *(f'--section={name}' for name in job),
            *['--smoke'] * args.smoke,
        ]  # fmt: skip
        failed |= run_section(
            command,
            write,
            seconds=min(left, _LATE * seconds),
            environment=environment(folder),
        )
      ended = True
    finally:
      took = time.monotonic() - end + 60 * args.minutes
      how = 'Took' if ended else 'Interrupted after'
      write(f'{how} {took:.0f} s.')
  return int(failed)


if __name__ == '__main__':
  flags.DEFINE_float('minutes', 8.0, 'Time for the report.', lower_bound=0.1)
  flags.DEFINE_bool('smoke', False, 'Whether to run tiny models, as a test.')
  flags.DEFINE_string('out', None, 'File that also receives the report.')
  flags.DEFINE_list(
      'sections', list(worker.SECTIONS), 'Sections of the report.'
  )
  cli.run(main, __doc__)
