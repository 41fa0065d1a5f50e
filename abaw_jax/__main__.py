"""Runs a command by its name: `abaw-jax COMMAND` or `python -m abaw_jax COMMAND`."""

import ast
import pathlib
import runpy
import sys

import abaw_jax
from abaw_jax.core import choices, cli

# Module of each command, in the order in which a person needs them.
COMMANDS = {
    'demo': 'abaw_jax.demo',
    'predict': 'abaw_jax.predict',
    'live': 'abaw_jax.live',
    'render': 'abaw_jax.data_builders.procedural.__main__',
    'check': 'abaw_jax.data_builders.check',
    'build': 'abaw_jax.data_builders.build',
    'train': 'abaw_jax.train',
    'evaluate': 'abaw_jax.evaluate',
    'extract': 'abaw_jax.extract',
    'import_features': 'abaw_jax.import_features',
    'crossvalidate': 'abaw_jax.crossvalidate',
    'dependency': 'abaw_jax.dependency',
    'sweep': 'abaw_jax.sweep',
    'ensemble': 'abaw_jax.ensemble',
    'pseudo_label': 'abaw_jax.pseudo_label',
    'predict_split': 'abaw_jax.predict_split',
    'submission': 'abaw_jax.submission',
    'bundle': 'abaw_jax.bundle',
    'report': 'abaw_jax.report',
    'export': 'abaw_jax.export',
    'reconstruct': 'abaw_jax.reconstruct',
    'upscale': 'abaw_jax.upscale',
    'convert': 'abaw_jax.convert',
    'compile': 'abaw_jax.compile',
}


def main() -> None:
  """Runs the command that the first argument names."""
  name = sys.argv[1] if len(sys.argv) > 1 else '--help'
  if name in ('--help', '-h', 'help'):
    print('\n'.join(_usage()))
    return
  if name not in COMMANDS:
    fix = choices.suggestion(name, COMMANDS)
    cli.fail(f'unknown command {name!r}; {fix}')
  del sys.argv[1]
  runpy.run_module(COMMANDS[name], run_name='__main__', alter_sys=True)


def _usage() -> list[str]:
  """Returns the help text, with the first line of each command's docstring."""
  lines = ['abaw-jax COMMAND [--flag=value ...]', '']
  lines += [f'  {name:16} {_summary(COMMANDS[name])}' for name in COMMANDS]
  return [*lines, '', 'abaw-jax COMMAND --help lists the flags of a command.']


def _summary(module: str) -> str:
  """Returns the first line of a module's docstring, without an import."""
  path = pathlib.Path(*module.split('.')[1:]).with_suffix('.py')
  folders = map(pathlib.Path, abaw_jax.__path__)
  file = next(f / path for f in folders if (f / path).is_file())
  return ast.get_docstring(ast.parse(file.read_bytes())).splitlines()[0]


if __name__ == '__main__':
  main()
