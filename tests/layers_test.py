"""Imports point one way, and every file stays small."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
HOMES = ('abaw_jax', 'benchmarks', 'configs', 'data_builders')

# What of ours the files of a room may import, beside their own room. A room is
# a folder of abaw_jax, a file directly in it, or one of the other HOMES.
ROOMS = {
    'errors': set(),
    'labels': set(),
    'cli': {'errors'},
    'data': {'errors', 'labels'},
    'models': {'errors', 'labels'},
    'scoring': {'errors', 'labels'},
    'porting': {'errors', 'labels'},
    'training': {'errors', 'labels', 'data', 'models', 'porting', 'scoring'},
    'forecasting': {'errors', 'labels', 'models', 'training'},
    'workflow': {'errors', 'labels'},
    'configs': set(),
    'data_builders': {'errors', 'labels', 'cli'},
    'benchmarks': {
        'errors', 'labels', 'cli', 'configs', 'data', 'data_builders',
        'forecasting', 'models', 'scoring', 'training',
    },
}  # fmt: skip
# Every other file directly in abaw_jax is a command.
COMMANDS = {
    'errors', 'labels', 'cli', 'data', 'forecasting', 'porting', 'scoring',
    'training', 'workflow',
}  # fmt: skip

# Packages that only one room may import.
ONLY_IN = {'flax': 'models'}
# Frameworks that would weigh every command down, and ways around this test.
NOWHERE = {'tensorflow', 'torch', 'clu', 'importlib'}
# Benchmarks compare with PyTorch.
EXCEPT_IN = {'torch': 'benchmarks'}
MAX_LINES = 300

FILES = sorted(
    path.relative_to(ROOT)
    for home in HOMES
    for path in (ROOT / home).rglob('*.py')
)


def room(parts: tuple[str, ...]) -> str | None:
  """Returns the room of a module of ours: its package or command."""
  if parts[0] != 'abaw_jax':
    return parts[0]
  return parts[1] if len(parts) > 1 else None


def imported(tree: ast.AST) -> set[tuple[str, ...]]:
  """Returns every module a file imports, wherever, as parts of its path.

  `from a import b` counts as a.b: whether b is a module does not matter here.
  """
  modules = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      modules |= {tuple(name.name.split('.')) for name in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'line {node.lineno}: relative import'
      base = tuple(node.module.split('.'))
      modules |= {(*base, name.name) for name in node.names}
  return modules


def wrong_imports(path: pathlib.Path, tree: ast.AST) -> list[str]:
  """Returns the modules that a file at this path may not import."""
  own = room(path.with_suffix('').parts)
  allowed = ROOMS.get(own, COMMANDS) | {own}
  wrong = []
  for parts in sorted(imported(tree)):
    package = parts[0]
    if package in HOMES:
      ok = room(parts) in allowed
    elif own == 'configs':
      ok = package == 'ml_collections'
    else:
      ok = EXCEPT_IN.get(package) == own or (
          package not in NOWHERE and ONLY_IN.get(package, own) == own
      )
    if not ok:
      wrong.append('.'.join(parts))
  return wrong


@pytest.fixture(scope='module')
def trees() -> dict[pathlib.Path, ast.AST]:
  return {path: ast.parse((ROOT / path).read_text()) for path in FILES}


def test_imports_point_one_way(trees):
  wrong = {str(path): wrong_imports(path, tree) for path, tree in trees.items()}
  assert {path: names for path, names in wrong.items() if names} == {}


def test_every_room_is_in_the_table():
  folders = {path.parent for path in FILES if path.parts[0] == 'abaw_jax'}
  rooms = {room(path.parts) for path in folders} - {None}
  assert rooms <= ROOMS.keys()


@pytest.mark.parametrize(
    ('path', 'line', 'wrong'),
    [
        ('abaw_jax/models/vit.py', 'from abaw_jax.data import windows', True),
        ('abaw_jax/models/vit.py', 'def f():\n  import abaw_jax.data', True),
        ('abaw_jax/models/vit.py', 'from abaw_jax.models import mae', False),
        ('abaw_jax/data/video.py', 'from abaw_jax import cli', True),
        ('abaw_jax/data/video.py', 'from abaw_jax import labels', False),
        ('abaw_jax/train.py', 'from abaw_jax import evaluate', True),
        ('abaw_jax/train.py', 'from abaw_jax.models import vit', True),
        ('abaw_jax/train.py', 'from abaw_jax.training import loop', False),
        ('abaw_jax/training/loop.py', 'from flax import linen as nn', True),
        ('abaw_jax/training/loop.py', 'import tensorflow as tf', True),
        ('abaw_jax/training/loop.py', 'import tensorflow_datasets', False),
        ('abaw_jax/workflow/stage.py', 'from abaw_jax.data import video', True),
        ('configs/mae.py', 'import jax', True),
        ('configs/mae.py', 'from configs import base', False),
        ('data_builders/build.py', 'from abaw_jax.data import video', True),
        ('data_builders/build.py', 'from abaw_jax import cli', False),
        ('benchmarks/input.py', 'import torch', False),
        ('benchmarks/input.py', 'import tensorflow', True),
        ('abaw_jax/data/video.py', 'import benchmarks.input', True),
    ],
)
def test_the_table_tells_right_from_wrong(path, line, wrong):
  assert bool(wrong_imports(pathlib.Path(path), ast.parse(line))) is wrong


def test_nothing_runs_strings_or_pmap(trees):
  found = {
      f'{path}:{node.lineno}'
      for path, tree in trees.items()
      for node in ast.walk(tree)
      if (
          isinstance(node, ast.Name)
          and node.id in ('eval', 'exec', '__import__')
      )
      or (isinstance(node, ast.Attribute) and node.attr == 'pmap')
  }
  assert found == set()


def test_no_file_is_long():
  lengths = {
      str(path): len((ROOT / path).read_text().splitlines()) for path in FILES
  }
  assert {p: n for p, n in lengths.items() if n > MAX_LINES} == {}
