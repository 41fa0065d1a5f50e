"""Files, locks and errors of buckets, with emulators of gs:// and s3://."""

import asyncio
import errno
import json
import time

import pytest

from abaw_jax.buckets import leases, transfers
from abaw_jax.core import errors, failures, files, locks, storage_errors
from tests.buckets import emulators
from tests.core import locked

# fsspec closes its sessions when the interpreter ends.
pytestmark = pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning'
)


def names(folder) -> list[str]:
  return sorted(path.name for path in folder.iterdir())


def test_files_are_written_and_read(bucket):
  path = files.path(f'{bucket}/files/a.json')
  assert not path.exists()
  files.write(path, 'old')
  files.write_json(path, {'é': 1})
  assert json.loads(path.read_text()) == {'é': 1}
  assert files.size(path) == len(path.read_bytes())
  assert abs(files.modified(path) - time.time()) < 100
  assert files.absolute(path) == path
  with files.local_copy(path) as copy:
    assert copy.read_bytes() == path.read_bytes()
  with (
      pytest.raises(errors.InputError, match=str(path)),
      files.local_copy(path) as copy,
  ):
    raise errors.InputError(f'{copy}: is wrong')


def test_a_failed_block_changes_nothing(bucket):
  path = files.path(f'{bucket}/failed/a')
  files.write(path, 'old')

  def fail():
    with files.replacing(path) as temporary:
      temporary.write_text('new')
      raise KeyError

  with pytest.raises(KeyError):
    fail()
  assert (names(path.parent), path.read_text()) == (['a'], 'old')


def test_an_incomplete_folder_has_no_last_file(bucket, monkeypatch):
  folder = files.path(f'{bucket}/folder')

  def fill(text):
    with files.replacing(folder, last='config.json') as temporary:
      (temporary / 'deep').mkdir(parents=True)
      for name in ('a', 'config.json', 'deep/b'):
        (temporary / name).write_text(text)

  fill('1')
  assert names(folder) == ['a', 'config.json', 'deep']
  upload = transfers.upload

  def lose_connection(local, remote):
    if remote.name == 'b':
      raise OSError('lost')
    upload(local, remote)

  monkeypatch.setattr(transfers, 'upload', lose_connection)
  with pytest.raises(OSError, match='lost'):
    fill('2')
  monkeypatch.undo()
  assert 'config.json' not in names(folder)
  fill('3')
  assert (folder / 'deep' / 'b').read_text() == '3'
  files.remove(folder)
  assert not folder.exists()
  files.remove(folder)


def test_a_damaged_folder_is_renamed(bucket):
  folder = files.path(f'{bucket}/damaged/3')
  for name in ('a', 'deep/b'):
    files.write(folder / name, name)
  aside = storage_errors.set_aside(folder)
  assert names(folder.parent) == ['3.unreadable']
  assert (aside / 'deep' / 'b').read_text() == 'deep/b'
  files.write(folder / 'a', '')
  assert storage_errors.set_aside(folder).name == '3.unreadable-2'


def test_the_second_command_learns_who_holds_the_folder(bucket, monkeypatch):
  monkeypatch.setattr(leases, 'RENEW_S', 0.2)
  folder = files.path(f'{bucket}/locks/run')
  with locked.by_another(folder, inside=True) as pid:
    start = time.monotonic()
    with pytest.raises(errors.InputError, match=f'filled by process {pid} on'):
      locks.held(folder, inside=True).__enter__()
    assert time.monotonic() - start < leases.DEAD_S / 2
  # The holder was killed on this machine, so its lock is free at once.
  assert names(folder) == ['lock']
  start = time.monotonic()
  with locks.held(folder, inside=True):
    assert time.monotonic() - start < leases.DEAD_S / 2
  assert not folder.exists()


def test_a_lock_that_nobody_renews_is_free(bucket, monkeypatch, capsys):
  monkeypatch.setattr(leases, 'DEAD_S', 0.5)
  monkeypatch.setattr(leases, 'RENEW_S', 0.1)
  folder = files.path(f'{bucket}/locks/other')
  content = {
      'holder': 'process 1 on away', 'place': 'away', 'process': [1, '2'],
      'token': 'x',
  }  # fmt: skip
  # A local lock has plain text; it was copied to the bucket with its folder.
  for text in (json.dumps(content), 'process 1 on away'):
    (folder / 'lock').write_text(text)
    with locks.held(folder, inside=True):
      out = capsys.readouterr().out
      assert f'{folder}/lock: belongs to process 1 on away; waiting' in out
      assert 'away' not in (folder / 'lock').read_text()


# The thread that finds the other holder ends with an exception here.
@pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnhandledThreadExceptionWarning'
)
def test_a_process_whose_lock_is_taken_ends(gs_bucket, monkeypatch, capsys):
  monkeypatch.setattr(leases, 'RENEW_S', 0.1)
  ends = []

  def end_thread(status):
    ends.append(status)
    raise SystemExit

  monkeypatch.setattr(leases.os, '_exit', end_thread)
  folder = files.path(f'{gs_bucket}/locks/taken')
  with locks.held(folder, inside=True):
    taken = json.dumps({'token': 'theirs', 'holder': 'process 7'})
    end = time.monotonic() + 10
    while not ends and time.monotonic() < end:
      # Again and again, because a renewal that has already read the lock replaces
      # this object.
      (folder / 'lock').write_text(taken)
      time.sleep(0.05)
  assert ends == [2]
  assert 'process 7 has taken over' in capsys.readouterr().err
  assert (folder / 'lock').exists()


def line(path: str) -> str:
  """Returns the one line about a path that cannot be used."""
  emulators.forget_connections()
  with pytest.raises(errors.InputError) as caught:
    files.path(path)
  message = str(caught.value)
  assert '\n' not in message
  return message


def test_a_missing_bucket_is_named(bucket):
  wrong = f'{bucket}-that-is-missing'
  assert line(f'{wrong}/run').startswith(f'{wrong}: there is no such bucket; ')
  with pytest.raises(errors.InputError, match='give a local path, gs://BUCKET'):
    files.path('ftp://a/b')


@pytest.mark.parametrize('kind', ['gs', 's3'])
def test_a_bucket_that_refuses_is_named(kind):
  of = {'gs': emulators.of_google, 's3': emulators.of_amazon}[kind]
  with emulators.refusing() as url, emulators.environment(**of(url)):
    message = line(f'{kind}://secret/run')
  assert message.startswith(f'{kind}://secret: access is refused (')
  assert 'gcloud auth application-default login' in message


@pytest.mark.parametrize('kind', ['gs', 's3'])
def test_a_lost_connection_is_named(kind, monkeypatch):
  sleep = asyncio.sleep  # gcsfs waits 32 s in total
  monkeypatch.setattr(asyncio, 'sleep', lambda _=0, *args: sleep(0, *args))
  of = {'gs': emulators.of_google, 's3': emulators.of_amazon}[kind]
  with emulators.environment(**of('http://127.0.0.1:9')):
    message = line(f'{kind}://away/run')
  assert message.startswith(f'{kind}://away: the bucket does not answer (')
  assert message.endswith('check the network, then run the same command again')


def test_errors_of_libraries_are_explained(bucket):
  files.path(bucket)  # now this process uses a bucket
  for error, words in {
      OSError('Forbidden: https://storage\nno access'): 'access is refused',
      PermissionError('Access Denied'): 'access is refused',
      ValueError('PERMISSION_DENIED: reading gs://b/x'): 'access is refused',
      ValueError('UNAVAILABLE: writing s3://b/x'): 'does not answer',
      TimeoutError(): 'does not answer (TimeoutError); check',
  }.items():
    assert words in failures.explain(error)
  for error in (
      ValueError('a bug'),
      KeyError('a'),
      # Names of folders are no messages.
      FileNotFoundError('b/connections/x'),
      ValueError('gs://b/credentials/timeouts: is not JSON'),
  ):
    assert failures.explain(error) is None


def test_a_full_disk_of_temporary_files_is_named(gs_bucket):
  full = OSError(errno.ENOSPC, 'No space left on device')
  with (
      pytest.raises(errors.InputError, match=r'cannot write a \(No space left'),
      storage_errors.writing(files.path(f'{gs_bucket}/x'), 'a'),
  ):
    raise full


def test_a_missing_package_is_advised(monkeypatch):
  import importlib.util

  monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
  for kind, extra in {'gs': 'gcs', 's3': 's3'}.items():
    message = line(f'{kind}://bucket/run')
    assert message.endswith(f"pip install 'abaw_jax[{extra}]'")


def test_paths_on_a_disk_stay_as_they_are(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert files.path('a/b').resolve() == tmp_path / 'a' / 'b'
  assert files.absolute(files.path('a')) == tmp_path / 'a'
  with pytest.raises(errors.InputError, match=r'--out=gs://b/x: copy it to'):
    files.local_path('gs://b/x', '--out')
