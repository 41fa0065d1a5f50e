"""Common parts of all commands: shared flags, start, and one-line errors.

Commands import JAX inside `main`, so that --help answers at once.
"""

from collections.abc import Callable, Iterable, Mapping
import contextlib
import os
import pathlib
import re
import sys
import traceback
from typing import Any, NoReturn

from absl import app, flags, logging
import ml_collections
from ml_collections.config_flags import config_flags

import abaw_jax
from abaw_jax.core import (
    choices,
    config_ranges,
    errors,
    failures,
    files,
    locks,
)

# The shipped configs: in the package, or next to it in a checkout.
_CONFIGS = pathlib.Path(abaw_jax.__path__[-1]) / 'configs'


def define_config() -> None:
  """Defines --config, with --config.<key>=<value> for each of its keys."""
  config_flags.DEFINE_config_file(
      'config',
      None,
      'Experiment: the name of a shipped config, such as mtl or mtl:small, or '
      'the path of a file, such as my.py or my.py:small.',
      lock_config=True,
  )
  flags.FLAGS['config'].parser = _ConfigParser('config')
  flags.mark_flag_as_required('config')


def define_workdir(help_text: str, *, required: bool = False) -> None:
  """Defines --workdir."""
  flags.DEFINE_string('workdir', None, help_text, required=required)


def define_paths(name: str, help_text: str, *, required: bool = False) -> None:
  """Defines a flag that takes several paths: it is given once for each."""
  flags.DEFINE_multi_string(
      name,
      None if required else [],
      f'{help_text} Repeat the flag for each.',
      required=required,
  )


def path(name: str) -> files.Path | None:
  """Returns the path in a flag, None if it is not given; raises as `files.path`."""
  text = flags.FLAGS[name].value
  return files.path(text) if text else None


def paths(name: str) -> list[files.Path]:
  """Returns the values of a flag of `define_paths`.

  Raises:
    InputError: a path does not exist and looks like several.
  """
  found = [files.path(text) for text in flags.FLAGS[name].value]
  for one in found:
    if re.search('[,+]', str(one)) and not one.exists():
      raise errors.InputError(
          f'--{name}={one}: there is no such path; a text is not split at `,` '
          f'or `+`, so give --{name}=PATH once for each path'
      )
  return found


def define_processes() -> None:
  """Defines the flags of a run with several processes.

  Platforms such as a TPU pod or Slurm set these values (docs/scale.md).
  """
  flags.DEFINE_string('coordinator', None, 'Address of process 0, host:port.')
  flags.DEFINE_integer(
      'num_processes', None, 'Number of processes; 1 = only this one.'
  )
  flags.DEFINE_integer('process_id', None, 'Number of this process, from 0.')


def processes() -> dict[str, str | int | None]:
  """Returns the values of these flags by name."""
  names = ('coordinator', 'num_processes', 'process_id')
  return {name: flags.FLAGS[name].value for name in names}


def define_seeds() -> None:
  """Defines --seeds."""
  flags.DEFINE_list('seeds', ['0'], 'Seeds of the runs, such as 0,1,2.')


def define_folds() -> None:
  """Defines --num_folds."""
  flags.DEFINE_integer(
      'num_folds', 0, 'Folds; 0 = the official split.', lower_bound=0
  )


def define_groups() -> None:
  """Defines --groups."""
  flags.DEFINE_integer(
      'groups', 5, 'Groups of videos for cross-fitting.', lower_bound=2
  )


def define_tuning() -> None:
  """Defines the flags of fitted post-processing: --groups, --bias, --resamples."""
  define_groups()
  flags.DEFINE_enum(
      'bias', 'f1', ('f1', 'prior', 'tau'), 'Fit of the bias of expressions.'
  )
  flags.DEFINE_integer(
      'resamples', 1000, 'Bootstrap resamples for intervals.', lower_bound=100
  )


def seeds() -> list[int]:
  """Returns the values of --seeds.

  Raises:
    InputError: if there are none, one is given twice, or one is not an integer.
  """
  texts = flags.FLAGS.seeds
  found = [int(t) for t in texts if t.isascii() and t.isdecimal()]
  if not texts or len(set(found)) < len(texts):
    raise errors.InputError(
        f'--seeds={",".join(texts)}: give different integers, such as 0,1,2'
    )
  return found


def config_name() -> str:
  """Returns `mtl` for --config=mtl, `mtl_small` for --config=mtl.py:small."""
  path, _, variant = config_flags.get_config_filename(
      flags.FLAGS['config']
  ).partition(':')
  return '_'.join(filter(None, [pathlib.Path(path).stem, variant]))


def config_overrides() -> dict[str, Any]:
  """Returns the config values that the command line sets, by their keys."""
  return config_flags.get_override_values(flags.FLAGS['config'])


def config_arguments() -> list[str]:
  """Returns the arguments with which another command gets the same config."""
  path = config_flags.get_config_filename(flags.FLAGS['config'])
  overrides = config_overrides().items()
  return [f'--config={path}', *(f'--config.{k}={v}' for k, v in overrides)]


def run(
    main: Callable[..., int | None],
    doc: str,
    *,
    arguments: Mapping[str, Iterable[str]] | None = None,
    operands: str | None = None,
    fills: str | None = None,
) -> NoReturn:
  """Parses the flags, runs `main` and exits with the status that it returns.

  Wrong input, a full disk or a missing device prints one line `error: ...` on
  stderr and gives status 2. Ctrl-C prints one line and gives status 130. Any other
  exception is a bug and shows its traceback.

  Args:
    main: the command; takes one string for each of `arguments` and operands.
    doc: docstring of the command; --help shows it.
    arguments: name and choices of each argument that is not a flag.
    operands: name of the one or more strings that follow, such as 'clips'.
    fills: flag with the folder that the command fills; it holds its lock.
  """
  sys.modules['__main__'].__doc__ = doc
  failures.silence_libtpu()
  failures.repeat_lost_interrupts()
  failures.prepare_output()
  wanted = list((arguments or {}).items())

  def guarded(argv: list[str]) -> int | None:
    given = argv[1:]
    for name, known in wanted[len(given) :]:
      fail(f'the {name} is missing; choose one of {choices.listing(known)}')
    if operands and len(given) == len(wanted):
      fail(f'{operands} are missing; name one or more')
    for argument in () if operands else given[len(wanted) :]:
      fail(f'unexpected argument {argument!r}; flags start with --')
    # Libraries log through absl; commands print on stdout.
    logging.set_verbosity(logging.ERROR)
    try:
      with contextlib.ExitStack() as stack:
        if fills and (folder := path(fills)) is not None:
          stack.enter_context(locks.held(folder, inside=True))
        return main(*given)
    except (Exception, KeyboardInterrupt) as e:
      if failures.is_interrupt(e):
        failures.exit_interrupted()
      if line := failures.explain(e):
        fail(line)
      raise

  app.run(guarded, flags_parser=_parse_flags)


def fail(message: str) -> NoReturn:
  """Prints the error on stderr and exits with status 2."""
  print(f'error: {message}', file=sys.stderr)
  sys.exit(2)


def _parse_flags(argv: list[str]) -> list[str]:
  """Returns the arguments that are not flags; fails in one line."""
  for flag in flags.FLAGS.flags_by_module_dict().get(__name__, ()):
    # --help shows the flags of the main module only; absl calls it argv[0].
    flags.FLAGS.register_key_flag_for_module(argv[0], flag)
  try:
    rest = flags.FLAGS(argv)
    _check_empty()
    return rest
  except SystemExit:
    sys.exit(0)  # absl ends --help with status 1
  except BrokenPipeError:  # by `--help | head`; Python writes again at its end
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)
  except errors.InputError as e:
    fail(str(e))
  except flags.Error as e:
    # One line of the message for each flag.
    lines = [
        failures.explain_flag(text.removeprefix('flag '))
        for text in str(e).split('\n')
    ]
    fail(f'{"; ".join(lines)}; --help lists the flags')


def _check_empty() -> None:
  """Raises an InputError if a flag is empty, as `--workdir=$UNSET` is."""
  for name in flags.FLAGS:
    flag = flags.FLAGS[name]
    values = flag.value if isinstance(flag.value, list) else [flag.value]
    is_key = name.startswith('config.')  # of a config, where '' has a meaning
    if flag.present and '' in values and flag.default != '' and not is_key:
      raise errors.InputError(
          f'--{name}= is empty; give a value or leave it out'
      )


class _ConfigParser(config_flags.ConfigFileFlagParser):
  """Reads a config file; errors in it or in an override are one line."""

  def parse(self, path: str) -> ml_collections.ConfigDict:
    name, colon, variant = path.partition(':')
    file = _config_file(name)
    try:
      config = super().parse(f'{file}{colon}{variant}')
    except (TypeError, ValueError) as e:
      # The library's message is a traceback; its context is the real error.
      raise errors.InputError(f'--config={path}: {e.__context__}') from e
    except (AttributeError, ImportError, NameError, SyntaxError) as e:
      frames = traceback.extract_tb(e.__traceback__)
      lines = [f.lineno for f in frames if f.filename == str(file)]
      where = f'line {lines[-1]}: ' if lines else ''
      raise errors.InputError(
          f'--config={path}: {where}{type(e).__name__}: {e}; correct the file'
      ) from e
    for argument in sys.argv:
      if match := re.fullmatch(
          r'--?(?:no)?config\.([^=]+)(?:=(.*))?', argument
      ):
        config_ranges.check_override(config, match[1], match[2])
    return config


def _config_file(name: str) -> pathlib.Path:
  """Returns the file of a path, or of the name of a shipped config."""
  shipped = {path.stem: path for path in sorted(_CONFIGS.glob('[!_]*.py'))}
  del shipped['base'], shipped['losses']
  path = pathlib.Path(name)
  if path.suffix == '.py' and path.is_file():
    return path
  if name in shipped:
    return shipped[name]
  raise errors.InputError(
      f'--config={name}: there is no such config file; '
      f'{choices.suggestion(path.stem, shipped)}'
  )
