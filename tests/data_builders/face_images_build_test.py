"""Builds of face images: splits, sizes, duplicates, wrong arguments."""

import json
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import build
from abaw_jax.data_builders.face_images import sharded_build, shards
from tests.data_builders import face_images_tree as tree

ROOT = pathlib.Path(build.__file__).parents[1]


def test_splits_depend_on_names_alone(tmp_path):
  source = tree.people(tmp_path / 'source')
  tree.run(source, tmp_path / 'one')
  tree.run(source, tmp_path / 'two', images_per_shard=7, face_size=8)
  (tmp_path / 'elsewhere').mkdir()
  source = source.rename(tmp_path / 'elsewhere/copy')
  tree.put(source / 'p50/x.jpg', tree.image(77))
  tree.run(source, tmp_path / 'three')
  one, two, three = (
      {split: {n for n, _ in records} for split, records in found.items()}
      for found in map(
          tree.read, (tmp_path / n for n in ('one', 'two', 'three'))
      )
  )
  assert one == two
  for split, names in one.items():
    assert three[split] - {'p50/x.jpg'} == names
  # 15 folders and a quarter of them: all images of a folder are held out.
  folders = {split: {n.split('/')[0] for n in one[split]} for split in one}
  assert folders['train'].isdisjoint(folders['validation'])
  assert 1 <= len(folders['validation']) <= 8


def test_with_few_folders_single_images_are_held_out(tmp_path):
  for i in range(40):
    tree.put(tmp_path / f'source/{i % 2}/{i}.jpg', tree.image(i))
  tree.run(tmp_path / 'source', tmp_path, validation_share=0.1)
  found = tree.read(tmp_path)
  assert 1 <= len(found['validation']) <= 12
  assert {name[0] for name, _ in found['train']} == {'0', '1'}


def test_the_share_is_met_and_may_be_zero(tmp_path):
  for i in range(1000):
    tree.put(tmp_path / f'source/{i}.jpg', tree.image(i % 7))
  tree.run(
      tmp_path / 'source', tmp_path / 'a', validation_share=0.2,
      images_per_shard=100,
  )  # fmt: skip
  assert 150 < len(tree.read(tmp_path / 'a')['validation']) < 250
  tree.run(
      tmp_path / 'source', tmp_path / 'b', validation_share=0.0,
      images_per_shard=100,
  )  # fmt: skip
  assert list(tree.read(tmp_path / 'b')) == ['train']
  tree.run(
      tmp_path / 'source', tmp_path / 'c', validation_share=1e-9,
      images_per_shard=100,
  )  # fmt: skip
  assert len(tree.read(tmp_path / 'c')['validation']) == 1


def test_one_image_cannot_be_split(tmp_path):
  tree.put(tmp_path / 'source/1.jpg', tree.image(1))
  with pytest.raises(errors.InputError, match='--validation_share=0'):
    tree.run(tmp_path / 'source', tmp_path)


@pytest.mark.parametrize('size', [12, 40])
def test_faces_are_cropped_and_resized(tmp_path, size):
  shapes = {'wide': (20, 31, 3), 'tall': (33, 20, 3), 'grey': (25, 25)}
  shapes |= {'small': (9, 11, 3), 'exact': (size, size + 5, 3)}
  for i, (name, shape) in enumerate(shapes.items()):
    tree.put(tmp_path / f'source/{name}.png', tree.image(i, '.png', shape))
  tree.run(tmp_path / 'source', tmp_path, face_size=size, validation_share=0.0)
  found = dict(tree.read(tmp_path)['train'])
  assert len(found) == len(shapes)
  for name, stored in found.items():
    data = (tmp_path / 'source' / name).read_bytes()
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    h, w, _ = pixels.shape
    if w > h:
      pixels = pixels[:, (w - h) // 2 :][:, :h]
    else:
      pixels = pixels[(h - w) // 2 :][:w]
    how = cv2.INTER_AREA if min(h, w) > size else cv2.INTER_CUBIC
    resized = cv2.resize(pixels, (size, size), interpolation=how)
    expected = cv2.imencode('.jpg', resized, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    assert stored == expected.tobytes()
  assert tree.metadata(tmp_path)['face_size'] == size


def copies(root: pathlib.Path) -> pathlib.Path:
  """Writes 30 images; 8 of them are copies of earlier images."""
  tree.people(root)
  for i in range(20, 28):
    (root / f'p{i // 2:02d}/{i:03d}.jpg').write_bytes(tree.image(i % 3))
  return root


def test_duplicates_are_listed(tmp_path, capsys):
  source = copies(tmp_path / 'source')
  tree.run(source, tmp_path)
  out = capsys.readouterr().out
  records = [
      (split, *record)
      for split, images in tree.read(tmp_path).items()
      for record in images
  ]
  assert len(records) == 30
  expected, first = [], {}
  for split, name, image in records:
    if image in first:
      other_split, other = first[image]
      expected.append(
          {
              'split': split,
              'name': name,
              'same_as': {'split': other_split, 'name': other},
          }
      )
      assert f'{split} {name} = {other_split} {other}' in out
    first.setdefault(image, (split, name))
  between = sum(row['split'] != row['same_as']['split'] for row in expected)
  assert between > 1
  assert f'8 duplicates, {between} of them in two splits: kept' in out
  lines = (tree.folder(tmp_path) / 'duplicates.jsonl').read_text().splitlines()
  assert [json.loads(line) for line in lines] == expected
  assert tree.metadata(tmp_path)['duplicates'] == len(expected) == 8


def test_duplicates_can_be_dropped_even_after_an_interruption(
    tmp_path, monkeypatch
):
  source = copies(tmp_path / 'source')
  tree.run(source, tmp_path / 'all')
  drop_records, calls = shards.drop_records, []

  def drop_one(plan, index):
    if calls:
      raise KeyboardInterrupt
    calls.append(index)
    drop_records(plan, index)

  with monkeypatch.context() as patch:
    patch.setattr(shards, 'drop_records', drop_one)
    with pytest.raises(KeyboardInterrupt):
      tree.run(source, tmp_path / 'first', drop_duplicates=True)
  tree.run(source, tmp_path / 'first', drop_duplicates=True)
  tree.run(source, tmp_path / 'again', drop_duplicates=True)
  expected, seen = {}, set()
  for split, images in tree.read(tmp_path / 'all').items():
    expected[split] = []
    for name, image in images:
      if image not in seen:
        expected[split].append((name, image))
      seen.add(image)
  assert sum(map(len, expected.values())) == 22
  for name in ('first', 'again'):
    assert tree.read(tmp_path / name) == expected
    found = tree.metadata(tmp_path / name)
    assert found['duplicates'] == 8
    assert found['rows'] == {s: len(images) for s, images in expected.items()}


def test_a_fix_between_two_drops_is_seen(tmp_path, monkeypatch):
  source = copies(tmp_path / 'source')
  (source / 'p00/000.jpg').write_bytes(b'')
  flags = {'drop_duplicates': True, 'images_per_shard': 10}
  flags['validation_share'] = 0.0
  with monkeypatch.context() as patch:
    patch.setattr(sharded_build, '_describe', interrupt)
    with pytest.raises(KeyboardInterrupt):
      tree.run(source, tmp_path, on_error='skip', **flags)
  # Until now, 021.jpg was the first image with these bytes.
  (source / 'p00/000.jpg').write_bytes(tree.image(0))
  tree.run(source, tmp_path, **flags)
  found = [record for split in tree.read(tmp_path).values() for record in split]
  images = [image for _, image in found]
  assert sorted(images) == sorted(
      tree.image(i) for i in range(30) if not 20 <= i < 28
  )


def interrupt(*args) -> None:
  raise KeyboardInterrupt


def test_a_shard_without_a_good_image_is_allowed(tmp_path):
  source = tree.people(tmp_path / 'source')
  for i in range(30):
    if i // 2 < 9:
      (source / f'p{i // 2:02d}/{i:03d}.jpg').write_bytes(b'')
  tree.run(source, tmp_path, on_error='skip', validation_share=0.0)
  assert tree.read(tmp_path)['train'] == [
      (f'p{i // 2:02d}/{i:03d}.jpg', tree.image(i)) for i in range(18, 30)
  ]


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (
            {'max_videos': 3},
            '--max_videos does not apply to face_images; its',
        ),
        (
            {'config': 'zip'},
            "--config: unknown value 'zip'; choose one of folders",
        ),
        ({'beam_options': {'a': 'b'}}, '--beam_options need a --beam_runner'),
        ({'beam_runner': 'DirectRunner'}, '--num_workers is only for local'),
        ({'source': 'nowhere'}, 'nowhere: no such folder; set --source_dir'),
    ],
)
def test_wrong_arguments_are_reported(tmp_path, kwargs, message):
  source = tmp_path / kwargs.pop('source', 'source')
  tree.folders(tmp_path / 'source')
  with pytest.raises(errors.InputError) as caught:
    tree.run(source, tmp_path / 'data', **kwargs)
  assert message in str(caught.value)
  assert not (tmp_path / 'data').exists()


def test_options_of_other_datasets_are_refused(tmp_path):
  with pytest.raises(
      errors.InputError, match='--face_size does not apply to s'
  ):
    build.build(
        's_aff_wild2', source_dir=tmp_path, data_dir=tmp_path, face_size=3
    )


def test_wrong_arguments_of_the_command_are_one_line(tmp_path):
  for args, message in (
      (['--face_size=0'], '--face_size=0'),
      (['--max_videos=2'], '--max_videos does not apply'),
      (['--beam_runner=X', '--beam_options=a'], "'a' does not have the form"),
  ):
    done = subprocess.run(
        [
            sys.executable,
            *tree.command(tmp_path, tmp_path, '--config=folders', *args),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
