"""Imports point one way, rooms and files stay small, and every room is described."""

import ast
import collections
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
HOMES = ('abaw_jax', 'benchmarks', 'configs', 'data_builders')

# Every room with the rooms that it may import, which stand above it. A room is a
# folder of abaw_jax, or one of the other HOMES with everything below it.
ROOMS = {
    'configs': '',
    'buckets': '',
    'core': 'configs buckets',
    'cpu': 'core',
    'models/layers': 'core cpu',
    'models/convnets': 'core cpu models/layers',
    'models/vision': 'core cpu models/layers',
    'models/temporal': 'core cpu models/layers',
    'models/multi_task': 'core models/layers models/temporal',
    'models/super_resolution': 'core models/layers',
    'models': (
        'core models/layers models/convnets models/vision models/temporal '
        'models/multi_task models/super_resolution'
    ),
    'data': 'core buckets',
    'derived': 'core',
    'video': 'core data',
    'faces': 'core data video',
    'sequences': 'core data derived',
    'augmentation': 'core',
    'scoring': 'core',
    'postprocessing': 'core scoring',
    'challenge': 'core scoring postprocessing',
    'reports': 'core scoring postprocessing challenge',
    'tasks': (
        'core models models/layers models/vision models/temporal '
        'models/multi_task models/super_resolution data sequences augmentation '
        'scoring'
    ),
    'distributed': 'core models/layers',
    'steps': 'core cpu models/layers augmentation tasks distributed',
    'porting/layouts': 'core',
    'porting/convnet_layouts': 'core porting/layouts',
    'porting': 'core porting/layouts porting/convnet_layouts',
    'checkpoints': (
        'core models models/layers data tasks distributed steps porting'
    ),
    'telemetry': 'core',
    'inference': (
        'core models models/layers data sequences augmentation tasks '
        'distributed steps checkpoints telemetry'
    ),
    'upscaling': ('core models data derived distributed checkpoints telemetry'),
    'bundles': (
        'core models models/layers models/temporal models/multi_task data faces '
        'sequences augmentation scoring postprocessing reports tasks distributed '
        'steps porting checkpoints inference'
    ),
    'conversion': (
        'core models models/layers tasks distributed porting porting/layouts '
        'checkpoints inference'
    ),
    'exporting': (
        'core cpu models models/temporal data tasks steps bundles inference '
        'conversion porting'
    ),
    'training': (
        'core cpu models/layers data tasks distributed steps checkpoints '
        'telemetry inference'
    ),
    'forecasting': 'core tasks distributed steps telemetry',
    'workflow': 'core checkpoints',
    'tables': 'core',
    'clips': 'core data video faces tables',
    'live_page': 'core',
    'report_page': 'core data video scoring postprocessing telemetry',
    'data_builders': 'core video',
}
# Commands import everything but the parts of models, and not each other.
# Benchmarks import everything but commands.
COMMANDS = {room for room in ROOMS if not room.startswith('models')} - {
    'configs', 'data_builders',
}  # fmt: skip
OPEN = {'': COMMANDS, 'benchmarks': set(ROOMS)}

# Packages that only some rooms may import.
ONLY_IN = {'flax': ('benchmarks', 'cpu', 'models', 'tasks')}
# Frameworks that would slow every command down.
NOWHERE = {'tensorflow', 'torch', 'clu'}
# Benchmarks compare with PyTorch.
EXCEPT_IN = {'torch': 'benchmarks'}
MAX_LINES = 300
MAX_FILES = 15

FILES = sorted(
    path.relative_to(ROOT)
    for home in HOMES
    for path in (ROOT / home).rglob('*.py')
)


def room(parts: tuple[str, ...]) -> str | None:
  """Returns the room of a module; '' for a command, None for `abaw_jax` itself."""
  if parts[0] != 'abaw_jax':
    return parts[0]
  if len(parts) == 1 or parts[1] == '__version__':
    return None
  for length in (2, 1):
    name = '/'.join(parts[1 : 1 + length])
    if name in ROOMS:
      return name
  return ''


def imported(tree: ast.AST) -> set[tuple[str, ...]]:
  """Returns every imported module as parts of its path.

  `from a import b` counts as a.b, whether b is a module or not.
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
  allowed = OPEN[own] if own in OPEN else set(ROOMS[own].split())
  wrong = []
  for parts in sorted(imported(tree)):
    package = parts[0]
    if package in HOMES:
      # A command may import no other command.
      ok = room(parts) in allowed | {None} | ({own} if own else set())
    elif own == 'configs':
      ok = package == 'ml_collections'
    else:
      ok = EXCEPT_IN.get(package) == own or (
          package not in NOWHERE
          and own.split('/')[0] in ONLY_IN.get(package, (own.split('/')[0],))
      )
    if not ok:
      wrong.append('.'.join(parts))
  return wrong


@pytest.fixture(scope='module')
def trees() -> dict[pathlib.Path, ast.AST]:
  return {path: ast.parse((ROOT / path).read_text()) for path in FILES}


def test_imports_point_one_way(trees):
  wrong = {
      str(path): wrong_imports(path, tree)
      for path, tree in trees.items()
      if room(path.with_suffix('').parts) is not None
      and path != pathlib.Path('abaw_jax/__init__.py')
  }
  assert {path: names for path, names in wrong.items() if names} == {}


def test_the_table_has_no_cycle():
  above = set()
  for name, allowed in ROOMS.items():
    assert set(allowed.split()) <= above, name
    above.add(name)


def test_every_folder_is_a_room_in_the_table():
  folders = {
      path.parent.relative_to('abaw_jax').as_posix()
      for path in FILES
      if path.parts[0] == 'abaw_jax'
  }
  assert folders - {'.'} <= ROOMS.keys()


@pytest.mark.parametrize(
    ('path', 'line', 'wrong'),
    [
        ('abaw_jax/models/zoo.py', 'from abaw_jax.data import order', True),
        ('abaw_jax/models/zoo.py', 'def f():\n  import abaw_jax.data', True),
        (
            'abaw_jax/models/zoo.py',
            'from abaw_jax.models.vision import mae',
            False,
        ),
        (
            'abaw_jax/models/vision/a.py',
            'from abaw_jax.models import zoo',
            True,
        ),
        (
            'abaw_jax/data/video.py',
            'from abaw_jax.sequences import table',
            True,
        ),
        ('abaw_jax/data/video.py', 'from abaw_jax.core import labels', False),
        ('abaw_jax/train.py', 'from abaw_jax import evaluate', True),
        ('abaw_jax/train.py', 'from abaw_jax.models import zoo', True),
        ('abaw_jax/train.py', 'from abaw_jax.training import loop', False),
        ('abaw_jax/steps/steps.py', 'from flax import linen as nn', True),
        ('abaw_jax/tasks/mae.py', 'from flax import linen as nn', False),
        ('abaw_jax/training/loop.py', 'import tensorflow as tf', True),
        ('abaw_jax/training/loop.py', 'import tensorflow_datasets', False),
        ('abaw_jax/workflow/a.py', 'from abaw_jax.data import video', True),
        ('configs/mae.py', 'import jax', True),
        ('configs/mae.py', 'from abaw_jax.configs import base', False),
        ('data_builders/build.py', 'from abaw_jax.data import video', True),
        ('data_builders/build.py', 'from abaw_jax.core import cli', False),
        ('benchmarks/input.py', 'import torch', False),
        ('benchmarks/input.py', 'import tensorflow', True),
        ('benchmarks/input.py', 'from abaw_jax import train', True),
        ('abaw_jax/data/video.py', 'import benchmarks.input', True),
    ],
)
def test_the_table_tells_right_from_wrong(path, line, wrong):
  assert bool(wrong_imports(pathlib.Path(path), ast.parse(line))) is wrong


def test_every_room_is_described_in_one_sentence(trees):
  for path, tree in trees.items():
    if path.name == '__init__.py' and path.parts[0] != 'configs':
      text = ast.get_docstring(tree)
      assert text, path
      assert text.split('\n\n')[0].count('. ') <= 1, path


def test_rooms_are_small():
  files = collections.Counter(
      str(path.parent) for path in FILES if path.name != '__init__.py'
  )
  # One config is one experiment and one file is one command, not a part of a
  # larger one.
  del files['configs'], files['abaw_jax']
  assert {name: n for name, n in files.items() if n > MAX_FILES} == {}


def test_only_tasks_and_the_zoo_ask_for_the_name_of_the_model(trees):
  readers = {
      path.as_posix()
      for path, tree in trees.items()
      if path.parts[0] == 'abaw_jax'
      for node in ast.walk(tree)
      if isinstance(node, ast.Subscript)
      and isinstance(node.slice, ast.Constant)
      and node.slice.value == 'name'
      and ast.unparse(node.value).rsplit('.')[-1].strip('[]\'"')
      in ('model', 'section', "config['model", "config['model']")
  }
  assert readers <= {'abaw_jax/tasks/registry.py', 'abaw_jax/models/zoo.py'}


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
