"""The command line: --config, --workdir and how a command starts and fails.

Commands import JAX inside `main`, so that --help answers at once.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
import difflib
import pathlib
import re
import sys
import traceback
from typing import Any, NoReturn

from absl import app, flags, logging
import ml_collections
from ml_collections.config_flags import config_flags

from abaw_jax.core import errors


def define_config() -> None:
  """Defines --config, with --config.<key>=<value> for every key of it."""
  config_flags.DEFINE_config_file(
      'config',
      None,
      'Experiment: configs/<name>.py or configs/<name>.py:<variant>.',
      lock_config=True,
  )
  flags.FLAGS['config'].parser = _ConfigParser('config')
  flags.mark_flag_as_required('config')


def define_workdir(help_text: str, *, required: bool = False) -> None:
  """Defines --workdir."""
  flags.DEFINE_string('workdir', None, help_text, required=required)


def define_processes() -> None:
  """Defines the flags that tell a process its place among several.

  Not one is needed where the platform tells it (docs/scale.md).
  """
  flags.DEFINE_string(
      'coordinator', None, 'host:port at which the others reach process 0.'
  )
  flags.DEFINE_integer(
      'num_processes', None, 'Processes in all; 1 = look for no others.'
  )
  flags.DEFINE_integer('process_id', None, 'Which of them this is, from 0.')


def processes() -> dict[str, str | int | None]:
  """Returns the values of these flags by name."""
  names = ('coordinator', 'num_processes', 'process_id')
  return {name: flags.FLAGS[name].value for name in names}


def config_name() -> str:
  """Returns `mtl` for --config=configs/mtl.py, `mtl_small` for mtl.py:small."""
  path, _, variant = config_flags.get_config_filename(
      flags.FLAGS['config']
  ).partition(':')
  return '_'.join(filter(None, [pathlib.Path(path).stem, variant]))


def config_arguments() -> list[str]:
  """Returns the arguments that make this command's config, for another's."""
  path = config_flags.get_config_filename(flags.FLAGS['config'])
  keys = [a for a in sys.argv[1:] if re.match(r'--?(?:no)?config\.', a)]
  return [f'--config={path}', *keys]


def run(
    main: Callable[..., int | None],
    doc: str,
    *,
    arguments: Mapping[str, Iterable[str]] | None = None,
) -> NoReturn:
  """Parses the flags and runs `main`; what it returns is the exit status.

  Wrong input ends in a line `error: ...` on stderr and status 2, Ctrl-C in a
  line and status 130, anything else in its traceback.

  Args:
    main: the command; takes one string for each of `arguments`.
    doc: its docstring, shown by --help.
    arguments: what the command takes beside flags: choices by name.
  """
  sys.modules['__main__'].__doc__ = doc
  wanted = list((arguments or {}).items())

  def guarded(argv: list[str]) -> int | None:
    given = argv[1:]
    for name, choices in wanted[len(given) :]:
      fail(f'no {name} is named; choose from {", ".join(choices)}')
    for argument in given[len(wanted) :]:
      fail(f'unexpected argument {argument!r}; flags start with --')
    # Libraries report their routine through absl; ours goes to stdout.
    logging.set_verbosity(logging.ERROR)
    try:
      return main(*given)
    except errors.InputError as e:
      fail(str(e))
    except KeyboardInterrupt:
      print('interrupted', file=sys.stderr)
      return 130  # as a shell reports SIGINT

  app.run(guarded, flags_parser=_parse_flags)


def fail(message: str) -> NoReturn:
  """Prints what is wrong on stderr and exits with status 2."""
  print(f'error: {message}', file=sys.stderr)
  sys.exit(2)


def _parse_flags(argv: list[str]) -> list[str]:
  """Returns the arguments that are not flags; a wrong flag is one line."""
  for flag in flags.FLAGS.flags_by_module_dict().get(__name__, ()):
    # --help shows the flags of the main module, which absl calls argv[0].
    flags.FLAGS.register_key_flag_for_module(argv[0], flag)
  try:
    return flags.FLAGS(argv)
  except SystemExit:
    sys.exit(0)  # absl ends --help with status 1
  except errors.InputError as e:
    fail(str(e))
  except flags.Error as e:
    message = re.sub(r'^flag (--\w+)=None: .*', r'\1 is missing', str(e))
    fail(f'{message.removeprefix("flag ")}; --help lists the flags')


class _ConfigParser(config_flags.ConfigFileFlagParser):
  """Reads a config file; what is wrong with it, or with a key, is one line."""

  def parse(self, path: str) -> ml_collections.ConfigDict:
    file = path.partition(':')[0]
    if not file.endswith('.py') or not pathlib.Path(file).is_file():
      raise errors.InputError(
          f'--config={path}: there is no config file {file!r}; name one of '
          'configs/, such as configs/mtl.py'
      )
    try:
      config = super().parse(path)
    except (TypeError, ValueError) as e:
      # The library has put a traceback into the message; this is the cause.
      raise errors.InputError(f'--config={path}: {e.__context__}') from e
    except (AttributeError, ImportError, NameError, SyntaxError) as e:
      frames = traceback.extract_tb(e.__traceback__)
      lines = [frame.lineno for frame in frames if frame.filename == file]
      where = f'line {lines[-1]}: ' if lines else ''
      raise errors.InputError(
          f'--config={path}: {where}{type(e).__name__}: {e}; mend the file'
      ) from e
    for argument in sys.argv:
      if match := re.fullmatch(
          r'--?(?:no)?config\.([^=]+)(?:=(.*))?', argument
      ):
        _check_override(config, match[1], match[2])
    return config


def _check_override(
    config: ml_collections.ConfigDict, path: str, text: str | None
) -> None:
  """Raises an InputError if --config.<path>=<text> cannot be set."""
  value, above = config, 'config'
  for name in path.split('.'):
    is_section = isinstance(value, ml_collections.ConfigDict)
    keys = list(value) if is_section else []
    if name not in keys:
      close = difflib.get_close_matches(name, keys, n=1)
      fix = f'did you mean {close[0]}' if close else f'it has {_listing(keys)}'
      raise errors.InputError(
          f'--config.{path}: {above} has no key {name}; {fix}'
      )
    value, above = value[name], f'{above}.{name}'
  if isinstance(value, ml_collections.ConfigDict):
    raise errors.InputError(
        f'--config.{path} is a section; set a key of it: {_listing(value)}'
    )
  if text is not None and not _fits(text, value):
    raise errors.InputError(
        f'--config.{path}={text}: wrong type; give {type(value).__name__}, '
        f'such as {value!r}'
    )


def _fits(text: str, old: Any) -> bool:
  """Returns whether a text can stand in for a config's value."""
  if isinstance(old, str):
    return True
  if isinstance(old, bool):
    return text.lower() in ('true', 'false', '1', '0')
  try:
    new = ast.literal_eval(text)
  except (SyntaxError, ValueError):
    return False
  if isinstance(old, tuple):
    items = new if isinstance(new, tuple) else (new,)
    return all(_same_kind(item, old[0]) for item in items)
  return _same_kind(new, old)


def _same_kind(new: Any, old: Any) -> bool:
  return type(new) is type(old) or (type(new), type(old)) == (int, float)


def _listing(keys: Iterable[str]) -> str:
  return ', '.join(keys) or 'none'
