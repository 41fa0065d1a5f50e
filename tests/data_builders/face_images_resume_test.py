"""An interrupted build resumes, and the dataset is the same."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import build
from abaw_jax.data_builders.face_images import plan as plan_lib
from abaw_jax.data_builders.face_images import runners, sharded_build
from tests.core import locked
from tests.data_builders import face_images_tree as tree

ROOT = pathlib.Path(build.__file__).parents[1]


def stamps(dataset: pathlib.Path) -> dict[str, tuple[int, int]]:
  """Returns the inode and time of every complete shard."""
  found = {}
  for path in dataset.glob('*.array_record-*-of-?????'):
    stat = path.stat()
    found[path.name] = (stat.st_ino, stat.st_mtime_ns)
  return found


def shard_of(data: pathlib.Path, name: str) -> tuple[str, int]:
  """Returns the split and number of the planned shard of an image."""
  for path in (tree.unfinished(data) / 'plan').glob('*.jsonl'):
    if f'"{name}"' in path.read_text():
      split, number = path.stem.split('-')
      return split, int(number)
  raise AssertionError(name)


def any_alive(group: int) -> bool:
  """Returns whether a process of the group is alive."""
  try:
    os.killpg(group, 0)
  except ProcessLookupError:
    return False
  return True


@pytest.mark.parametrize('workers', [1, 2])
def test_a_killed_build_resumes(tmp_path, workers):
  source = tree.people(tmp_path / 'source')
  tree.run(source, tmp_path / 'full')
  # A pipe without a writer blocks the build at this image.
  blocked = source / 'p07/015.jpg'
  image = blocked.read_bytes()
  blocked.unlink()
  os.mkfifo(blocked)
  data = tmp_path / 'data'
  dataset = tree.unfinished(data) / 'dataset'
  total = len(stamps(tree.folder(tmp_path / 'full')))
  process = subprocess.Popen(
      [
          sys.executable,
          *tree.command(
              source, data, '--config=folders', f'--num_workers={workers}'
          ),
      ],
      cwd=ROOT,
      start_new_session=True,
  )
  deadline = time.monotonic() + 60
  split, number = None, total
  while len(stamps(dataset)) < (number if workers == 1 else total - 1):
    assert process.poll() is None
    assert time.monotonic() < deadline
    time.sleep(0.01)
    if split is None and (tree.unfinished(data) / 'plan').exists():
      split, number = shard_of(data, 'p07/015.jpg')
      assert (split, number > 0) == ('train', True)
  process.send_signal(signal.SIGKILL)
  process.wait()
  while any_alive(process.pid):  # no worker survives
    assert time.monotonic() < deadline
    time.sleep(0.01)
  assert not tree.folder(data).exists()
  before = stamps(dataset)
  assert 0 < len(before) < total

  blocked.unlink()
  blocked.write_bytes(image)
  tree.run(source, data)
  after = stamps(tree.folder(data))
  assert len(after) == total
  assert {name: after[name] for name in before} == before
  assert tree.read(data) == tree.read(tmp_path / 'full')
  assert not list(tree.folder(data).glob('*.tmp'))
  for name in ('dataset_info.json', 'metadata.json', 'features.json'):
    assert (tree.folder(data) / name).read_text() == (
        tree.folder(tmp_path / 'full') / name
    ).read_text()


def test_workers_make_no_difference(tmp_path):
  source = tree.people(tmp_path / 'source')
  for workers in (1, 2):
    tree.run(source, tmp_path / str(workers), num_workers=workers)
  assert tree.read(tmp_path / '1') == tree.read(tmp_path / '2')


def test_a_build_after_a_fix_keeps_the_good_shards(tmp_path):
  source = tree.people(tmp_path / 'source')
  bad = source / 'p03/006.jpg'
  intact = bad.read_bytes()
  bad.write_bytes(intact[:-10])
  with pytest.raises(errors.InputError, match=r'p03/006\.jpg: cut off'):
    tree.run(source, tmp_path)
  before = stamps(tree.unfinished(tmp_path) / 'dataset')
  bad.write_bytes(intact)
  tree.run(source, tmp_path)
  after = stamps(tree.folder(tmp_path))
  assert len(after) == len(before) + 1
  assert {name: after[name] for name in before} == before
  assert tree.metadata(tmp_path)['skipped'] == []


def test_shards_with_skipped_images_are_written_again_without_skip(
    tmp_path, monkeypatch
):
  source = tree.people(tmp_path / 'source')
  (source / 'p03/006.jpg').write_bytes(b'')
  with monkeypatch.context() as patch:
    patch.setattr(sharded_build, '_describe', interrupt)
    with pytest.raises(KeyboardInterrupt):
      tree.run(source, tmp_path, on_error='skip')
  with pytest.raises(errors.InputError, match=r'p03/006\.jpg: empty'):
    tree.run(source, tmp_path)
  (source / 'p03/006.jpg').write_bytes(tree.image(6))
  tree.run(source, tmp_path)
  assert sum(map(len, tree.read(tmp_path).values())) == 30


def interrupt(*args) -> None:
  raise KeyboardInterrupt


@pytest.mark.parametrize(
    ('change', 'kwargs', 'message'),
    [
        ('an image', {}, 'other images, because the source has changed'),
        (None, {'face_size': 8}, '--face_size=0, not 8'),
        (None, {'validation_share': 0.5}, '--validation_share=0.25, not 0.5'),
        (None, {'images_per_shard': 5}, '--images_per_shard=4, not 5'),
        (None, {'drop_duplicates': True}, '--drop_duplicates=False, not True'),
    ],
)
def test_a_change_before_resuming_is_refused(
    tmp_path, monkeypatch, change, kwargs, message
):
  source = tree.people(tmp_path / 'source')
  with monkeypatch.context() as patch:
    patch.setattr(sharded_build, '_describe', interrupt)
    with pytest.raises(KeyboardInterrupt):
      tree.run(source, tmp_path)
  before = stamps(tree.unfinished(tmp_path) / 'dataset')
  if change:
    tree.put(source / 'p99/new.jpg', tree.image(999))
  with pytest.raises(errors.InputError) as caught:
    tree.run(source, tmp_path, **kwargs)
  assert message in str(caught.value)
  assert '--overwrite' in str(caught.value)
  assert stamps(tree.unfinished(tmp_path) / 'dataset') == before
  tree.run(source, tmp_path, overwrite=True, **kwargs)
  total = sum(map(len, tree.read(tmp_path).values()))
  assert total == 30 + (change is not None)


def test_overwriting_resumes_too(tmp_path, monkeypatch):
  source = tree.people(tmp_path / 'source')
  tree.run(source, tmp_path)
  for i in range(2):
    with monkeypatch.context() as patch:
      patch.setattr(sharded_build, '_describe', interrupt)
      with pytest.raises(KeyboardInterrupt):
        tree.run(source, tmp_path, overwrite=True, face_size=8)
    assert tree.metadata(tmp_path)['face_size'] == 0
    found = stamps(tree.unfinished(tmp_path) / 'dataset')
    if i == 0:
      first = found
    assert found == first
  tree.run(source, tmp_path, overwrite=True, face_size=8)
  assert tree.metadata(tmp_path)['face_size'] == 8
  assert stamps(tree.folder(tmp_path)) == first


def test_an_existing_dataset_is_kept_or_refused(tmp_path, capsys):
  source = tree.people(tmp_path / 'source')
  tree.run(source, tmp_path)
  before = stamps(tree.folder(tmp_path))
  capsys.readouterr()
  tree.run(source, tmp_path)
  assert 'already built in' in capsys.readouterr().out
  with pytest.raises(
      errors.InputError, match='--face_size=0, not with --face_size=9; pass'
  ):
    tree.run(source, tmp_path, face_size=9)
  assert stamps(tree.folder(tmp_path)) == before


def die(plan, index) -> None:
  os._exit(1)


def test_a_killed_worker_is_one_line(tmp_path):
  plan = plan_lib.Plan('x', tmp_path, tmp_path, 0, 'fail', (), {})
  with pytest.raises(errors.InputError, match='lower --num_workers'):
    runners.run_locally(die, plan, [0, 1], num_workers=2)


def test_two_builds_of_a_dataset_do_not_mix(tmp_path):
  source = tree.people(tmp_path / 'source')
  folder = tree.folder(tmp_path / 'data')
  with locked.by_another(folder):
    with pytest.raises(errors.InputError, match='is being filled by process'):
      tree.run(source, tmp_path / 'data')
    assert not tree.unfinished(tmp_path / 'data').exists()
  # The lock of a killed process does not block.
  tree.run(source, tmp_path / 'data')
  assert sum(map(len, tree.read(tmp_path / 'data').values())) == 30
