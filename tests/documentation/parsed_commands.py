"""Parses commands of abaw_jax with their own parsers, and does not run them.

`python -m tests.documentation.parsed_commands < COMMANDS.json` takes a list of
[command, argument, ...] and prints the error of each as JSON, or null. A command that
contains the word `...` or --help may lack arguments, and its flags values.
"""

import io
import json
import runpy
import sys

from absl import flags

from abaw_jax import __main__ as command_line
from abaw_jax.core import cli

_run = cli.run
_SHARED = set(flags.FLAGS)


def error(words: list[str]) -> str | None:
  """Returns the error message of a command with wrong arguments, else None."""
  name, *arguments = words
  if name not in command_line.COMMANDS:
    return f'unknown command {name!r}'
  for flag in set(flags.FLAGS) - _SHARED:
    delattr(flags.FLAGS, flag)
  sys.argv = [name, *('...' if a == '--help' else a for a in arguments)]
  errors = sys.stderr = io.TextIOWrapper(io.BytesIO())
  try:
    runpy.run_module(command_line.COMMANDS[name], run_name='__main__')
  except SystemExit as end:
    errors.flush()
    printed = errors.buffer.getvalue().decode().strip()
    return (printed or f'status {end.code}') if end.code else None
  finally:
    sys.stderr = sys.__stderr__
  return None


def _parse(main, doc, **options) -> None:
  """Replaces `cli.run`: parses the arguments, and calls and locks nothing."""
  del main
  options.pop('fills', None)
  if '...' in sys.argv:
    for flag in flags.FLAGS:
      flags.FLAGS[flag].validators.clear()  # which say that it is required
    known = {f'--{flag}' for flag in flags.FLAGS}
    cli._parse_flags([word for word in sys.argv if word not in known])
    return
  _run(lambda *arguments: None, doc, **options)


if __name__ == '__main__':
  cli.run = _parse
  print(json.dumps([error(words) for words in json.load(sys.stdin)]))
