"""Commands in forks of one process that has imported the libraries once.

`python -m tests.forked_commands < COMMANDS.json` runs a list of [module, argument,
...] one after the other and prints [status, stdout, stderr] of each as JSON.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback

# Most of the time of a short command goes into these imports.
from abaw_jax.conversion import convert
from abaw_jax.data_builders import datasets
from abaw_jax.inference import extraction, reconstruction
from abaw_jax.postprocessing import tuning
from abaw_jax.training import loop
from abaw_jax.upscaling import command as upscaling
from abaw_jax.workflow import studies

IMPORTED = (
    convert, datasets, extraction, loop, reconstruction, studies, tuning,
    upscaling,
)  # fmt: skip


def run(command: list[str]) -> tuple[int, str, str]:
  """Returns (status, stdout, stderr) of `python -m module argument ...`."""
  with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as err:
    child = os.fork()
    if not child:
      os.dup2(out.fileno(), 1)
      os.dup2(err.fileno(), 2)
      os._exit(_run_module(command))
    _, status = os.waitpid(child, 0)
    out.seek(0)
    err.seek(0)
    return os.waitstatus_to_exitcode(status), out.read(), err.read()


def _run_module(command: list[str]) -> int:
  """Returns the exit status of a module that runs as `__main__`."""
  status: object = 0
  try:
    sys.argv = list(command)
    runpy.run_module(command[0], run_name='__main__', alter_sys=True)
  except SystemExit as end:
    status = end.code or 0
  except BaseException:
    traceback.print_exc()
    status = 1
  sys.stdout.flush()
  sys.stderr.flush()
  return status if isinstance(status, int) else 1


if __name__ == '__main__':
  print(json.dumps([run(command) for command in json.load(sys.stdin)]))
