"""A file that is written is complete or does not change."""

import json
import os
import signal
import subprocess
import sys

import pytest

from abaw_jax.core import errors, files
from tests.core import disks


def names(folder) -> list[str]:
  return sorted(path.name for path in folder.iterdir())


def test_write_creates_folders_and_replaces(tmp_path):
  path = tmp_path / 'new' / 'a.json'
  files.write(path, 'old')
  files.write_json(path, {'é': 1})
  assert json.loads(path.read_text()) == {'é': 1}
  assert names(path.parent) == ['a.json']


def test_a_failed_block_changes_nothing(tmp_path):
  path = tmp_path / 'a'
  path.write_text('old')

  def fail():
    with files.replacing(path) as temporary:
      temporary.write_text('new')
      raise KeyError

  with pytest.raises(KeyError):
    fail()
  assert (names(tmp_path), path.read_text()) == (['a'], 'old')


def test_a_removed_temporary_file_changes_nothing(tmp_path):
  path = tmp_path / 'a'
  path.write_text('old')
  with files.replacing(path) as temporary:
    temporary.write_text('new')
    temporary.unlink()
  assert path.read_text() == 'old'


def test_a_folder_appears_complete(tmp_path):
  folder = tmp_path / 'folder'
  with files.replacing(folder) as temporary:
    temporary.mkdir()
    (temporary / 'x').write_text('1')
    assert not folder.exists()
  assert names(tmp_path) == ['folder']

  def fail():
    with files.replacing(tmp_path / 'b') as temporary:
      temporary.mkdir()
      raise KeyError

  with pytest.raises(KeyError):
    fail()
  assert names(tmp_path) == ['folder']


def test_a_full_disk_is_one_line_and_keeps_the_old_file(tmp_path):
  path = tmp_path / 'a.json'
  files.write_json(path, 1)
  message = r'cannot write a\.json \(File too large'
  with disks.full(10), pytest.raises(errors.InputError, match=message):
    files.write(path, 'x' * 100)
  assert (names(tmp_path), path.read_text()) == (['a.json'], '1\n')


def test_a_kill_changes_nothing(tmp_path):
  path = tmp_path / 'a'
  path.write_text('old')
  code = (
      'import os, pathlib, signal\n'
      'from abaw_jax.core import files\n'
      f'with files.replacing(pathlib.Path({os.fspath(path)!r})) as temporary:\n'
      '  temporary.write_text("new")\n'
      '  os.kill(os.getpid(), signal.SIGKILL)\n'
  )
  killed = subprocess.run([sys.executable, '-c', code], check=False)
  assert killed.returncode == -signal.SIGKILL
  assert path.read_text() == 'old'
