"""One stage of a pipeline: a command of ours and the file that ends it."""

from collections.abc import Sequence
import dataclasses
import pathlib
import subprocess
import sys
import time

from abaw_jax.core import errors


@dataclasses.dataclass(frozen=True)
class Stage:
  """A command that runs once.

  Attributes:
    title: what it does, for the reader.
    command: module and arguments behind `python -m`.
    done: path that exists when, and only when, the command has finished.
  """

  title: str
  command: tuple[str, ...]
  done: pathlib.Path


def run(stages: Sequence[Stage]) -> None:
  """Runs the stages that are not done, in order, each in its own process.

  Raises:
    InputError: if a command fails; names it. Its own message stands above.
  """
  for number, stage in enumerate(stages, start=1):
    head = f'[{number}/{len(stages)}] {stage.title}'
    if stage.done.exists():
      print(f'{head}: done before', flush=True)
      continue
    print(f'{head}\n  $ python -m {" ".join(stage.command)}', flush=True)
    start = time.perf_counter()
    status = subprocess.run(
        [sys.executable, '-m', *stage.command], check=False
    ).returncode
    if status or not stage.done.exists():
      raise errors.InputError(
          f'`python -m {" ".join(stage.command)}` ended with status {status} '
          f'and no {stage.done}; mend what it says above and start again'
      )
    print(f'  {time.perf_counter() - start:.0f} s', flush=True)
