"""Stages of a pipeline: each is a command and the file that shows its end."""

from collections.abc import Sequence
import dataclasses
import subprocess
import sys
import time

from abaw_jax.core import errors, files


@dataclasses.dataclass(frozen=True)
class Stage:
  """A command that runs once.

  Attributes:
    title: action of the stage, for the progress line.
    command: module and arguments, as after `python -m`.
    done: path that exists if and only if the command has finished.
  """

  title: str
  command: tuple[str, ...]
  done: files.Path


def _status(command: Sequence[str]) -> int:
  """Runs a command; returns its exit status. Ctrl-C ends both."""
  with subprocess.Popen(command) as process:
    try:
      return process.wait()
    except KeyboardInterrupt:
      # The command got the signal too. It saves its files and prints the line.
      sys.exit(process.wait())


def run(stages: Sequence[Stage]) -> None:
  """Runs the stages that are not done, in order, each in its own process.

  Raises:
    InputError: if a command fails. The command prints its own error before.
  """
  for number, stage in enumerate(stages, start=1):
    head = f'[{number}/{len(stages)}] {stage.title}'
    if stage.done.exists():
      print(f'{head}: already done', flush=True)
      continue
    print(f'{head}\n  $ python -m {" ".join(stage.command)}', flush=True)
    start = time.perf_counter()
    status = _status([sys.executable, '-m', *stage.command])
    if status or not stage.done.exists():
      raise errors.InputError(
          f'`python -m {" ".join(stage.command)}` ended with status {status} '
          f'and no {stage.done}; correct the error above and start again'
      )
    print(f'  {time.perf_counter() - start:.0f} s', flush=True)
