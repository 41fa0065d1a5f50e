"""The wheel works alone: in an empty folder, without the checkout."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ('abaw_jax', 'configs', 'data_builders')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> pathlib.Path:
  """Returns the wheel, built from a copy of the checkout."""
  source = tmp_path_factory.mktemp('source')
  for name in FOLDERS:
    ignored = shutil.ignore_patterns('__pycache__')
    shutil.copytree(ROOT / name, source / name, ignore=ignored)
  for name in ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE'):
    shutil.copy(ROOT / name, source)
  out = tmp_path_factory.mktemp('wheel')
  pip('wheel', '--no-build-isolation', f'--wheel-dir={out}', str(source))
  (found,) = out.iterdir()
  return found


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory) -> pathlib.Path:
  """Returns a folder in which the wheel is installed, without dependencies."""
  folder = tmp_path_factory.mktemp('site')
  pip('install', f'--target={folder}', str(wheel))
  return folder


def pip(command: str, *arguments: str) -> None:
  subprocess.run(
      [
          sys.executable, '-m', 'pip', command, '--quiet', '--no-deps',
          '--no-index', '--disable-pip-version-check', *arguments,
      ],
      check=True,
  )  # fmt: skip


def run(site: pathlib.Path, folder: pathlib.Path, *arguments: str) -> str:
  """Returns the output of `abaw-jax`, which imports the wheel only."""
  done = subprocess.run(
      [sys.executable, site / 'bin' / 'abaw-jax', *arguments],
      cwd=folder,
      env=os.environ | {'PYTHONPATH': str(site)},
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_the_wheel_has_all_files_in_one_package(wheel):
  expected = set()
  for name in FOLDERS:
    inside = pathlib.PurePath('' if name == 'abaw_jax' else 'abaw_jax')
    expected |= {
        str(inside / path.relative_to(ROOT))
        for path in (ROOT / name).rglob('*')
        if path.is_file() and path.suffix != '.pyc'
    }
  names = zipfile.ZipFile(wheel).namelist()
  assert expected == {name for name in names if '.dist-info/' not in name}
  assert 'abaw_jax/py.typed' in names
  assert 'abaw_jax/configs/mtl.py' in names


def test_only_one_top_level_package_is_installed(site):
  names = {path.name for path in site.iterdir()}
  names = {name for name in names if not name.endswith('.dist-info')}
  assert names == {'abaw_jax', 'bin'}


def test_the_command_trains_by_the_name_of_a_config(site, data_dir, tmp_path):
  assert 'abaw-jax COMMAND' in run(site, tmp_path, '--help')
  run(
      site,
      tmp_path,
      'train',
      '--config=frame:smoke',
      '--config.data.name=s_aff_wild2',
      f'--config.data.dir={data_dir}',
      '--config.epochs=0.1',
      '--config.eval_epochs=0',
      '--config.optim.warmup_epochs=0',
  )
  assert (tmp_path / 'runs' / 'frame_smoke-1' / 'DONE').is_file()


def test_the_command_renders_and_builds_a_dataset(site, tmp_path):
  run(site, tmp_path, 'render', '--out=source', '--videos=4', '--frames=4')
  run(
      site, tmp_path, 'build', 's_aff_wild2', '--config=frames',
      '--source_dir=source', '--data_dir=data',
  )  # fmt: skip
  assert (tmp_path / 'data' / 's_aff_wild2' / 'frames').is_dir()


def test_modules_have_one_name(site, tmp_path):
  script = (
      'import abaw_jax, abaw_jax.configs.mtl, abaw_jax.data_builders.build\n'
      'print(abaw_jax.__path__ == [f"{abaw_jax.__file__[:-12]}"])\n'
  )
  done = subprocess.run(
      [sys.executable, '-c', script],
      cwd=tmp_path,
      env=os.environ | {'PYTHONPATH': str(site)},
      capture_output=True,
      text=True,
      check=True,
  )
  assert done.stdout == 'True\n'
