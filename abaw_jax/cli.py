"""The command line: --config, --workdir and how a command starts and fails.

Commands import JAX inside `main`, so that --help answers at once.
"""

from collections.abc import Callable
import pathlib
import sys
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

from abaw_jax import errors


def define_config() -> None:
  """Defines --config, with --config.<key>=<value> for every key of it."""
  config_flags.DEFINE_config_file(
      'config',
      None,
      'Experiment: configs/<name>.py or configs/<name>.py:<variant>.',
      lock_config=True,
  )
  flags.mark_flag_as_required('config')


def define_workdir(help_text: str, *, required: bool = False) -> None:
  """Defines --workdir."""
  flags.DEFINE_string('workdir', None, help_text, required=required)


def config_name() -> str:
  """Returns `mtl` for --config=configs/mtl.py, `mtl_small` for mtl.py:small."""
  path, _, variant = config_flags.get_config_filename(
      flags.FLAGS['config']
  ).partition(':')
  return '_'.join(filter(None, [pathlib.Path(path).stem, variant]))


def run(main: Callable[[], Any], doc: str) -> None:
  """Parses the flags and runs `main`; the process exits.

  Wrong input ends in one line on stderr and status 2, anything else in its
  traceback.

  Args:
    main: the command.
    doc: its docstring, shown by --help.
  """
  sys.modules['__main__'].__doc__ = doc

  def guarded(argv: list[str]) -> None:
    if len(argv) > 1:
      fail(f'unexpected argument {argv[1]!r}; flags start with --')
    # Libraries report their routine through absl; ours goes to stdout.
    logging.set_verbosity(logging.ERROR)
    try:
      main()
    except errors.InputError as e:
      fail(str(e))

  app.run(guarded, flags_parser=_parse_flags)


def fail(message: str) -> None:
  """Prints one line on stderr and exits with status 2."""
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
  except flags.Error as e:
    fail(f'{e}; --help lists the flags')
  except (AttributeError, KeyError, TypeError, ValueError, OSError) as e:
    # What ml_collections raises for a config that is not there or not right.
    fail(f'{" ".join(str(e).split())}; see the keys in the --config file')
  raise AssertionError('unreachable')
