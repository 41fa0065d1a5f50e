"""The rendered corpus: layout on disk, repeated rows, determinism."""

import collections
import hashlib
import json
import pathlib
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders.procedural import alignment, card, corpus
from abaw_jax.data_builders.procedural.rendering import video_plan

ARGS = {'videos': 10, 'frames': 24, 'seed': 5}


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> pathlib.Path:
  out = tmp_path_factory.mktemp('corpus') / 'small'
  corpus.write(out, workers=1, **ARGS)
  return out


def read(path: pathlib.Path) -> list[list[str]]:
  """Returns the rows of a list file without its header."""
  lines = path.read_text().splitlines()
  return [line.split(',') for line in lines[1:]]


def digests(out: pathlib.Path) -> dict[str, str]:
  return {
      str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
      for path in sorted(out.rglob('*'))
      if path.is_file()
  }


def annotations(out: pathlib.Path) -> dict[str, list[list[str]]]:
  return {split: read(out / name) for split, name in corpus.LISTS.items()}


def test_files_are_the_same_for_any_number_of_workers(root, tmp_path):
  corpus.write(tmp_path / 'two', workers=2, **ARGS)
  assert digests(root) == digests(tmp_path / 'two')


def test_another_seed_gives_other_faces_and_labels(root, tmp_path):
  corpus.write(tmp_path / 'other', workers=1, **{**ARGS, 'seed': 6})
  mine, other = digests(root), digests(tmp_path / 'other')
  assert mine.pop(alignment.FILE) == other.pop(alignment.FILE)
  assert not set(mine.values()) & set(other.values())


def test_lines_have_a_5_name_header_and_16_values(root):
  for name in corpus.LISTS.values():
    header = (root / name).read_text().splitlines()[0]
    assert header == 'image,valence,arousal,expression,aus'
  for split, rows in annotations(root).items():
    for row in rows:
      assert len(row) == 16
      assert re.fullmatch(r'\w+/\d{5}\.jpg', row[0])
      va, rest = np.array(row[1:3], float), np.array(row[3:], int)
      assert (va == -5).all() or (np.abs(va) <= 1).all()
      assert -1 <= rest[0] <= 7
      assert (rest[1:] == -1).all() or set(rest[1:].tolist()) <= {0, 1}
      if split == 'test':
        assert (va > -5).all()
        assert (rest >= 0).all()


def test_every_listed_image_is_a_face_crop_and_no_other_exists(root):
  for split, rows in annotations(root).items():
    listed = {row[0] for row in rows}
    for name in listed:
      image = cv2.imread(str(root / corpus.IMAGES[split] / name))
      assert image.shape == (112, 112, 3)
      assert image.std() > 5
  for folder, splits in (
      ('cropped_aligned', ('train', 'validation')),
      ('test_set/cropped_aligned', ('test',)),
  ):
    found = {
        str(p.relative_to(root / folder))
        for p in (root / folder).rglob('*.jpg')
    }
    rows = annotations(root)
    assert found == {row[0] for split in splits for row in rows[split]}


def test_the_test_list_hides_labels_behind_a_trailing_comma(root):
  path = root / 'test_set' / 'MTL_Challenge_test_set_release.txt'
  header, *lines = path.read_text().splitlines()
  assert header == 'image,'
  hidden = [row[0] for row in annotations(root)['test']]
  assert lines == [f'{name},' for name in hidden]


def test_frames_are_sparse_and_in_order(root):
  for rows in annotations(root).values():
    frames = collections.defaultdict(list)
    for row in rows:
      video, name = row[0].split('/')
      frames[video].append(int(name[:5]))
    for numbers in frames.values():
      assert numbers == sorted(numbers)
      steps = np.diff(numbers)
      assert steps.max() > 5
      assert (steps[steps > 0] == 1).any()


def test_rows_repeat_in_every_split(root):
  for rows in annotations(root).values():
    counts = collections.Counter(tuple(row) for row in rows)
    names = collections.Counter(row[0] for row in rows)
    assert max(names.values()) == 2
    assert sorted(counts.values()) == sorted(names.values())


def test_videos_and_people_are_disjoint_between_splits(root):
  videos = {
      split: {row[0].split('/')[0] for row in rows}
      for split, rows in annotations(root).items()
  }
  # Two subjects of one video have the same number, and are in one split.
  numbers = {
      split: {re.search(r'\d+', name).group() for name in names}
      for split, names in videos.items()
  }
  assert sum(len(n) for n in numbers.values()) == len(
      set().union(*numbers.values())
  )
  assert any(name.endswith('_left') for name in videos['train'])
  assert any(name.endswith('_right') for name in videos['train'])
  assert any(name.isdigit() for name in videos['train'])
  keys = [video.key for video in video_plan.make(**ARGS)]
  assert len(set(keys)) == len(keys)


def test_the_card_comes_last_and_counts_what_is_there(root):
  found = json.loads((root / 'corpus.json').read_text())
  assert found['args'] == ARGS
  for split, rows in annotations(root).items():
    count = found['counts'][split]
    assert count['rows'] == len(rows)
    assert count['frames'] == len({row[0] for row in rows})
    assert set(count['videos']) == {row[0].split('/')[0] for row in rows}
  assert not (root / card.DRAFT).exists()


def test_a_complete_corpus_is_not_changed(root):
  before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
  assert 'nothing to do' in corpus.write(root, workers=1, **ARGS)
  assert before == {p: p.stat().st_mtime_ns for p in root.rglob('*')}


def test_an_interrupted_corpus_starts_again(root, tmp_path):
  out = tmp_path / 'broken'
  stray = out / 'cropped_aligned' / '1' / '00001.jpg'
  stray.parent.mkdir(parents=True)
  stray.write_bytes(b'half a jpeg')
  (out / card.DRAFT).write_text('{')
  corpus.write(out, workers=1, **ARGS)
  assert digests(out) == digests(root)


def test_wrong_input_names_the_fix(root, tmp_path):
  (tmp_path / 'mine').mkdir()
  (tmp_path / 'mine' / 'thesis.txt').write_text('keep me')
  (tmp_path / 'torn').mkdir()
  (tmp_path / 'torn' / 'corpus.json').write_text('{')
  good = {**ARGS, 'workers': 1}
  for out, change, fix in (
      (root, {'seed': 1}, 'choose another --out'),
      (root / 'corpus.json', {}, 'name a folder'),
      (tmp_path / 'mine', {}, 'name a new folder'),
      (tmp_path / 'torn', {}, 'remove'),
      (tmp_path / 'new', {'videos': 2}, 'give at least 3'),
      (tmp_path / 'new', {'frames': 3}, 'give at least 4'),
  ):
    with pytest.raises(errors.InputError, match=fix):
      corpus.write(out, **{**good, **change})
  assert (tmp_path / 'mine' / 'thesis.txt').exists()
  assert not (tmp_path / 'new').exists()


def test_the_command_reports_wrong_input_in_one_line():
  done = subprocess.run(
      [sys.executable, '-m', 'data_builders.procedural'],
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 2
  assert done.stderr == 'error: give either --out=DIR or --sheet=FILE.png\n'
