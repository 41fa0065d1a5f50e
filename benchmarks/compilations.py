"""Results of compilations, one line of JSON each, in a file that grows."""

from collections.abc import Sequence
import json
import pathlib
import subprocess
import sys
import time
from typing import Any

ROOT = pathlib.Path(__file__).parents[1]

Key = tuple[str, ...]


def read(path: pathlib.Path) -> dict[Key, dict[str, Any]]:
  """Returns the results in a file by their keys."""
  if not path.is_file():
    return {}
  lines = map(json.loads, path.read_text().splitlines())
  return {tuple(line['command']): line for line in lines}


def compile_one(path: pathlib.Path, key: Key, command: Sequence[str]) -> None:
  """Runs a command in a new process, and adds its last line to the file.

  Does nothing if the file has a line with this key. A failed command prints its
  errors, and leaves the file unchanged.

  Args:
    path: file of results.
    key: of the line.
    command: module and arguments; the last line that it prints is JSON.
  """
  if key in read(path):
    return
  start = time.perf_counter()
  done = subprocess.run(
      [sys.executable, '-m', *command],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=False,
  )
  # Status 1 means that the step does not fit, or that there was a traceback.
  if done.returncode not in (0, 1) or not done.stdout:
    print(f'{" ".join(command)}\n{done.stderr}', file=sys.stderr, flush=True)
    return
  line = json.loads(done.stdout.splitlines()[-1])
  line |= {'command': key, 'seconds': round(time.perf_counter() - start, 1)}
  with path.open('a') as file:
    file.write(json.dumps(line) + '\n')
