"""Copies of datasets in emulated buckets of Google and Amazon."""

import json
import os
import pathlib
import pickle
import re
import shutil
import signal

import pytest

from abaw_jax.buckets import failures, paths, transfers
from abaw_jax.core import errors, files
from abaw_jax.data import dataset_cache, sources
from abaw_jax.data import shards as record_files
from abaw_jax.training import loop
from tests.data import corpora
from tests.training import runs

SHARDS = {f'shard-{i}': os.urandom(200_000 + i) for i in range(3)}
# Copies files in small pieces, so that it can be killed in between.
_CHILD = """
import sys
from abaw_jax.core import files
from abaw_jax.data import dataset_cache
cache, chunk, *urls = sys.argv[1:]
dataset_cache._CHUNK = int(chunk)
files.path(urls[0])
dataset_cache.copied(urls, cache)
"""


@pytest.fixture(scope='module')
def shards(bucket) -> list[str]:
  """Returns the URLs of SHARDS."""
  return put(f'{bucket}/raw')


def put(folder: str) -> list[str]:
  """Uploads SHARDS; returns their URLs."""
  urls = [f'{folder}/{name}' for name in SHARDS]
  for url, content in zip(urls, SHARDS.values(), strict=True):
    files.path(url).write_bytes(content)
  return urls


def check(copies):
  """Checks all copies, and that nothing else is left."""
  assert [pathlib.Path(x).read_bytes() for x in copies] == list(SHARDS.values())
  folder = pathlib.Path(copies[0]).parent
  notes = {f'{name}.copied' for name in SHARDS}
  assert {path.name for path in folder.iterdir()} == {*SHARDS, *notes}
  assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_files_are_copied_once(shards, tmp_path, capsys, monkeypatch):
  source = os.path.dirname(shards[0])
  folder = tmp_path / source.replace('://', '/')
  copies = dataset_cache.copied(shards, str(tmp_path))
  assert copies == [f'{folder}/{name}' for name in SHARDS]
  check(copies)
  out = capsys.readouterr().out
  assert out.startswith(f'{source}: copying 3 files to {folder}: 0.6 MB, ')
  monkeypatch.setattr(dataset_cache, '_copy', None)
  assert dataset_cache.copied(shards, str(tmp_path)) == copies
  assert not capsys.readouterr().out


def test_a_killed_copy_continues_in_one_of_several_processes(
    gs_bucket, tmp_path
):
  urls = put(f'{gs_bucket}/killed')

  def start(chunk):
    return runs.start_code(_CHILD, str(tmp_path), str(chunk), *urls)

  folder = tmp_path / 'gs' / 'bucket' / 'killed'
  process = start(500)
  while process.poll() is None:
    parts = sum(part.stat().st_size for part in folder.glob('*.part'))
    if parts > 100_000:
      process.kill()
  assert runs.finish(process)[0] == -signal.SIGKILL
  assert not any(folder.glob('shard-?'))
  ended = [runs.finish(process) for process in [start(10**6), start(10**6)]]
  assert [status for status, _, _ in ended] == [0, 0], ended
  (line,) = [out for _, out, _ in ended if out]
  assert 'copying 3 files' in line
  assert float(re.search(r': ([\d.]+) MB, ', line)[1]) <= 0.5
  check([str(folder / name) for name in SHARDS])


def flip(path):
  content = bytearray(path.read_bytes())
  content[1000] ^= 1
  path.write_bytes(content)


@pytest.mark.parametrize('damage', [flip, lambda path: os.truncate(path, 99)])
def test_a_damaged_file_is_copied_again(shards, tmp_path, capsys, damage):
  copies = dataset_cache.copied(shards, str(tmp_path))
  capsys.readouterr()
  damage(pathlib.Path(copies[1]))
  pathlib.Path(copies[2]).touch()  # with the same content
  assert dataset_cache.copied(shards, str(tmp_path)) == copies
  out = capsys.readouterr().out
  assert out.startswith(f'{copies[1]}: is damaged or differs from {shards[1]}')
  assert 'copying 1 files' in out
  check(copies)


def test_a_new_version_is_copied(bucket, tmp_path):
  path = files.path(f'{bucket}/other/shard')
  for content in (b'old', b'new'):
    path.write_bytes(content)
    (copy,) = dataset_cache.copied([str(path)], str(tmp_path))
    assert pathlib.Path(copy).read_bytes() == content


def test_a_copy_that_differs_from_its_checksum_is_not_used(
    shards, tmp_path, monkeypatch
):
  system = paths.file_system(shards[0])
  read = system.cat_file

  def damaged(url, start, end):
    content = bytearray(read(url, start=start, end=end))
    content[0] ^= 1
    return bytes(content)

  with monkeypatch.context() as patch:
    patch.setattr(system, 'cat_file', damaged)
    with pytest.raises(errors.InputError, match='differs from its checksum'):
      dataset_cache.copied(shards, str(tmp_path))
  check(dataset_cache.copied(shards, str(tmp_path)))


def test_a_bucket_that_is_lost_while_it_is_copied_is_no_damage(
    shards, tmp_path, monkeypatch
):
  def fail(*_, **__):
    raise OSError('Cannot connect to host')

  monkeypatch.setattr(paths.file_system(shards[0]), 'cat_file', fail)
  records = record_files.Shards(shards, [1] * 3, cache=str(tmp_path))
  with pytest.raises(failures.BucketError) as caught:
    records[0]
  message = str(caught.value)
  assert message.startswith(f'{shards[0]}: the bucket does not answer')
  assert 'damaged' not in message


def test_a_small_disk_is_an_error_before_copying(shards, tmp_path, monkeypatch):
  usage = shutil.disk_usage(tmp_path)._replace(free=500_000)
  monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage)
  with pytest.raises(
      errors.InputError,
      match=r'/raw: the copy of (gs|s3)://bucket/raw needs 0\.6 MB, 0\.5 MB free; '
      'free some space, or name a folder on a larger disk, --config.data.cache',
  ):
    dataset_cache.copied(shards, str(tmp_path))
  assert not any(path.is_file() for path in tmp_path.rglob('*'))


def test_a_missing_file_is_named(shards, tmp_path):
  with pytest.raises(errors.InputError, match='raw/shard-9: there is no such'):
    dataset_cache.copied([f'{shards[0][:-1]}9'], str(tmp_path))


def test_the_cache_is_on_a_disk(shards, monkeypatch):
  with pytest.raises(errors.InputError, match='give a folder on a local disk'):
    dataset_cache.copied(shards, 'gs://bucket/cache')
  monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  monkeypatch.setenv('HOME', '/home/somebody')
  folder = '/home/somebody/.cache/abaw_jax/datasets'
  assert files.cache_folder('datasets') == pathlib.Path(folder)


def test_records_in_a_bucket_are_those_on_the_disk(
    bucket, tmp_path, monkeypatch
):
  corpora.build_toy(tmp_path / 'data', 'frames')
  data_dir = f'{bucket}/data'
  transfers.upload_folder(tmp_path / 'data', files.path(data_dir))
  expected = sources.Records(tmp_path / 'data', 'toy', 'frames', 'train')
  found = sources.Records(
      data_dir, 'toy', 'frames', 'train', cache_dir=str(tmp_path / 'cache')
  )
  assert repr(found) == repr(expected)
  assert str(list(found)) == str(list(expected))
  # Workers do not talk to the bucket.
  monkeypatch.setattr(paths, 'file_system', None)
  copy = pickle.loads(pickle.dumps(found))
  assert str(list(copy.with_fields('row'))) == str(
      list(expected.with_fields('row'))
  )


def test_training_reads_a_bucket_into_memory(
    gs_bucket, data_dir, tmp_path, monkeypatch, capsys
):
  remote = f'{gs_bucket}/corpus'
  transfers.upload_folder(
      data_dir / 's_aff_wild2', files.path(f'{remote}/s_aff_wild2')
  )
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  config = runs.smoke(
      'mae',
      data_dir,
      epochs=0.2,
      optim__warmup_epochs=0.0,
      plot_steps=0,
      log_steps=1,
      data__dir=remote,
      data__in_memory=True,
  )
  loop.train(config, tmp_path / 'run')
  assert (tmp_path / 'run' / 'DONE').exists()
  lines = capsys.readouterr().out.splitlines()
  copying = [i for i, line in enumerate(lines) if 'copying' in line]
  (start,) = (i for i, line in enumerate(lines) if line.startswith('mae: '))
  assert len(copying) == 2
  assert max(copying) < start
  (cache,) = tmp_path.glob('cache/abaw_jax/datasets/gs/bucket/corpus/*/*/*')
  assert {path.name.split('.')[0] for path in cache.iterdir()} == {
      's_aff_wild2-train',
      's_aff_wild2-validation',
  }
  name = 's_aff_wild2/frames'
  data = json.loads((tmp_path / 'run' / 'data.json').read_text())
  assert data == {name: sources.fingerprint(data_dir, name)}
