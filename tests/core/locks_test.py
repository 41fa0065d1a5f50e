"""Only one command at a time fills a folder."""

import errno
import fcntl
import socket

import pytest

from abaw_jax.core import errors, locks
from tests.core import locked


@pytest.mark.parametrize('inside', [True, False])
def test_the_second_command_learns_who_holds_the_folder(tmp_path, inside):
  folder = tmp_path / 'new' / 'run'
  with locked.by_another(folder, inside=inside) as pid:
    with pytest.raises(errors.InputError) as caught:
      locks.held(folder, inside=inside).__enter__()
    message = str(caught.value)
    assert f'filled by process {pid} on {socket.gethostname()} since' in message
    assert '\n' not in message
  # The lock file of the killed holder is still there.
  assert list(tmp_path.rglob('*lock'))
  with locks.held(folder, inside=inside):
    pass
  assert not list(tmp_path.rglob('*lock'))


def test_the_lock_has_the_name_of_the_real_folder(tmp_path):
  (tmp_path / 'link').symlink_to(tmp_path / 'run')
  with locks.held(tmp_path / 'run'), pytest.raises(errors.InputError):
    locks.held(tmp_path / 'link').__enter__()


def test_a_folder_stays_only_if_it_was_filled(tmp_path):
  run = tmp_path / 'run'
  with locks.held(run, inside=True):
    assert run.exists()
  assert not run.exists()
  with locks.held(run, inside=True):
    (run / 'x').touch()
  with locks.held(run, inside=True):
    pass
  assert [path.name for path in run.iterdir()] == ['x']


def test_a_file_system_without_locks_gets_a_note(tmp_path, monkeypatch, capsys):
  def refuse(*_):
    raise OSError(errno.ENOSYS, 'not implemented')

  monkeypatch.setattr(fcntl, 'flock', refuse)
  with locks.held(tmp_path / 'run'):
    pass
  assert 'only one command at a time' in capsys.readouterr().out
