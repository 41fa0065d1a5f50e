"""Labels of users: tables, class folders and uni-task files, without the code under test."""

import csv
import json
import os
import pathlib

import numpy as np
import pyarrow as pa
from pyarrow import parquet
import pytest
import tensorflow_datasets as tfds

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from tests.data_builders import labelled_tree as tree

NAME = 'labelled_folder'
NAMES = [
    'Neutral',
    'Anger',
    'Disgust',
    'Fear',
    'Happiness',
    'Sadness',
    'Surprise',
    'Other',
]
HEADER = (
    'image', 'valence', 'arousal', 'expression', 'AU1', 'AU12', 'video',
    'frame', 'person',
)  # fmt: skip


def videos_rows() -> list[tuple]:
  """Returns 12 people with a video of 3 frames each, in reverse order."""
  return [
      (
          f'{person}/{frame}.png', (person - 6) / 8, frame / 4,
          NAMES[person % 8], frame % 2, '' if frame else 1, f'v{person}',
          frame * 10, f'p{person // 2}',
      )
      for person in range(12)
      for frame in (2, 1, 0)
  ]  # fmt: skip


def write_table(root: pathlib.Path, rows, header=HEADER) -> pathlib.Path:
  """Writes images and labels.csv."""
  for i, row in enumerate(rows):
    tree.put(root / row[0], tree.pixels(i))
  with (root / 'labels.csv').open('w', newline='') as file:
    csv.writer(file).writerows([header, *rows])
  return root


def sequences(data: pathlib.Path, split: str) -> list[dict]:
  """Returns the records of videos."""
  folder = tree.folder(data, f'{NAME}/sequences')
  source = tfds.builder_from_directory(folder).as_data_source(split)
  return [source[i] for i in range(len(source))]


@pytest.fixture(scope='module')
def built(tmp_path_factory):
  root = tmp_path_factory.mktemp('videos')
  source = write_table(root / 'source', videos_rows())
  tree.run(NAME, source, root, validation_share=0.3)
  return root


def test_frames_have_the_labels_of_the_table(built):
  rows = videos_rows()
  found = tree.read(built, f'{NAME}/frames')
  assert sorted(n for s in found.values() for n in s) == list(range(len(rows)))
  for records in found.values():
    for number, record in records.items():
      image, valence, arousal, expression, au1, au12, video, frame, _ = rows[
          number
      ]
      assert record['image'] == (built / 'source' / image).read_bytes()
      assert record['video'] == video.encode()
      assert record['frame_id'] == frame
      np.testing.assert_allclose(record['valence'], valence)
      np.testing.assert_allclose(record['arousal'], arousal)
      assert NAMES[record['expression']] == expression
      assert record['va']
      assert record['expr']
      assert record['au'][0] == au1
      assert record['au'][6] == (-1 if au12 == '' else au12)
      known = [True] + [False] * 11
      known[6] = au12 != ''
      assert record['au_mask'].tolist() == known


def test_no_person_is_in_two_splits(built):
  people = [
      {videos_rows()[number][8] for number in records}
      for records in tree.read(built, f'{NAME}/frames').values()
  ]
  assert len(people) == 2
  assert all(people)
  assert not people[0] & people[1]


def test_sequences_have_the_frames_in_the_order_of_time(built):
  frames = tree.read(built, f'{NAME}/frames')
  for split, of_split in frames.items():
    videos = sequences(built, split)
    assert sum(len(video['row']) for video in videos) == len(of_split)
    for video in videos:
      assert video['frame_id'].tolist() == [0, 10, 20]
      for i, number in enumerate(video['row']):
        frame = of_split[number]
        only_frames = {'label', 'person'}
        assert frame.keys() - only_frames == video.keys() - {'chunk'}
        assert video['video'] == frame['video']
        person = int(os.fsdecode(frame['video'])[1:]) // 2
        assert os.fsdecode(frame['person']) == f'p{person}'
        for name in frame.keys() - only_frames - {'video'}:
          np.testing.assert_array_equal(video[name][i], frame[name])


def test_parquet_has_the_digests_of_csv(built, tmp_path):
  source = write_table(tmp_path / 'source', videos_rows())
  (source / 'labels.csv').unlink()
  columns = zip(*videos_rows(), strict=True)
  values = [[None if v == '' else v for v in column] for column in columns]
  table = pa.table(dict(zip(HEADER, values, strict=True)))
  parquet.write_table(table, source / 'labels.parquet')
  tree.run(NAME, source, tmp_path, validation_share=0.3)
  for config in ('frames', 'sequences'):
    place = f'{NAME}/{config}/1.0.0/fingerprint.json'
    one, other = (
        json.loads((r / place).read_text()) for r in (built, tmp_path)
    )
    assert one == other


def test_class_folders(tmp_path, capsys):
  source = tmp_path / 'source'
  names = {'joy': 4, 'sad': 5, 'FEAR': 3}
  for split in ('train', 'val'):
    for i, name in enumerate(names):
      tree.put(
          source / split / name / 'a.png',
          tree.pixels(i + 10 * (split == 'val')),
      )
  with pytest.raises(errors.InputError, match="unknown expression 'joy'"):
    tree.run(NAME, source, tmp_path)
  tree.write(source / 'expressions.json', '{"joy": "Happiness"}')
  tree.run(NAME, source, tmp_path)
  found = tree.read(tmp_path, f'{NAME}/frames')
  assert {k: len(v) for k, v in found.items()} == {'train': 3, 'validation': 3}
  for record in found['train'].values():
    assert record['expression'] == names[record['video'].decode().split('/')[1]]
  assert not (tmp_path / NAME / 'sequences').exists()
  assert check.check(NAME, source_dir=source, decode=True)
  assert 'Happiness' in capsys.readouterr().out


def test_mapped_ids_and_one_table_of_two(tmp_path):
  source = write_table(
      tmp_path, [('a.png', '7'), ('b.png', '8')], ('image', 'expression')
  )
  tree.write(source / 'expressions.yaml', '7: Fear', '8: null')
  tree.write(source / 'other.csv', 'x')
  with pytest.raises(errors.InputError, match=r'other.csv are both tables'):
    check.check(NAME, source_dir=source)
  table = source / 'labels.csv'
  tree.run(NAME, table, tmp_path / 'data', validation_share=0)
  (record,) = tree.read(tmp_path / 'data', f'{NAME}/frames')['train'].values()
  assert record['expression'] == 3


@pytest.mark.parametrize(
    ('header', 'row', 'reason'),
    [
        ('image,valance', 'a.png,0', "'valance'; did you mean valence?"),
        ('file,valence', 'a.png,0', ':1: no column image'),
        ('image,age', 'a.png,3', ':1: no column of labels'),
        ('image,AU1,AU01', 'a.png,1,1', 'is twice in the table'),
        ('image,expression,frame', 'a.png,1,1', 'frame without column video'),
        ('image,valence,arousal', 'a.png,1.5,0', 'valence 1.5 is out of range'),
        ('image,valence,arousal', 'a.png,nan,0', "valence 'nan' is not a numb"),
        ('image,expression', 'a.png,hapiness', 'did you mean Happiness?'),
        ('image,expression', 'a.png,8', "unknown expression '8'"),
        ('image,AU04', 'a.png,2', 'AU04 2 is out of range: 0 or 1'),
        ('image,expression', 'c.png,1', 'image c.png: missing in'),
        ('image,expression', 'cut.jpg,1', 'image cut.jpg: cut off: the JPEG'),
        ('image,expression', 'good.png,1', 'the same row as labels.csv:2'),
        ('image,expression', 'good.png,2', 'its labels differ between'),
        ('image,expression,split', 'a.png,1,tran', 'did you mean train?'),
        ('image,expression,person', 'a.png,1,', 'person is empty'),
        ('image,expression,video,frame', 'a.png,1,v,-1', 'frame -1 is out of'),
    ],
)
def test_a_bad_table_is_reported(tmp_path, header, row, reason):
  for i, name in enumerate(('a.png', 'good.png', 'cut.jpg')):
    data = tree.put(tmp_path / name, tree.pixels(i))
  (tmp_path / 'cut.jpg').write_bytes(data[:-9])
  good = {
      'image': 'good.png',
      'expression': '1',
      'split': 'train',
      'person': 'p',
  }
  good |= {'video': 'w', 'frame': '0'}
  columns = header.split(',')
  first = ','.join(good.get(c, '0') for c in columns)
  tree.write(tmp_path / 'labels.csv', header, first, row)
  with pytest.raises(errors.InputError) as caught:
    tree.run(NAME, tmp_path, tmp_path / 'data', validation_share=0)
  assert reason in str(caught.value)
  assert 'labels.csv' in str(caught.value)
  assert not (tmp_path / 'data' / NAME).exists()


def test_a_person_in_two_given_splits(tmp_path):
  header = ('image', 'expression', 'person', 'split')
  rows = [('a.png', 1, 'p', 'train'), ('b.png', 1, 'q', 'train')]
  source = write_table(tmp_path, [*rows, ('c.png', 1, 'p', 'val')], header)
  with pytest.raises(errors.InputError) as caught:
    tree.run(NAME, source, tmp_path / 'data')
  reason = 'labels.csv:2: person p is also in validation (labels.csv:4)'
  assert reason in str(caught.value)
  tree.run(NAME, source, tmp_path / 'data', on_error='skip')
  found = tree.read(tmp_path / 'data', f'{NAME}/frames')
  assert {k: [*v] for k, v in found.items()} == {
      'train': [1],
      'validation': [2],
  }
  with pytest.raises(errors.InputError, match='has a validation split'):
    tree.run(NAME, source, tmp_path / 'x', validation_share=0.5)


def test_nothing_is_left_to_train_on(tmp_path):
  header = ('image', 'expression', 'person')
  source = write_table(tmp_path, [('a.png', 1, 'p'), ('b.png', 2, 'p')], header)
  with pytest.raises(errors.InputError, match='nothing is left to train on'):
    check.check(NAME, source_dir=source)


def test_uni_task_files(tmp_path, capsys):
  source = tmp_path / 'source'
  top = source / 'Annotations'
  va, au, expr = 'VA_Estimation', 'AU_Detection', 'EXPR_Classification'
  units = ','.join(f'AU{i}' for i in range(12))
  ones = ','.join('101010101010')
  va_lines = ('valence,arousal', '0.5,-0.5', '-5,-5', '1,1')
  tree.write(top / f'{va}_Challenge/Train_Set/a_left.txt', *va_lines)
  tree.write(top / f'{va}_Challenge/Train_Set/b.txt', *va_lines)
  au_lines = (units, ones, ones)
  tree.write(top / f'{au}_Challenge/Train_Set/a_left.txt', *au_lines)
  lines = (','.join(NAMES), '2', '-1')
  tree.write(top / f'{expr}_Challenge/Validation_Set/b.txt', *lines)
  for i, name in enumerate(('a_left/00001', 'a_left/00002', 'b/00001')):
    tree.put(source / f'cropped_aligned/{name}.jpg', tree.pixels(i))
  tree.run(NAME, source, tmp_path)
  out = capsys.readouterr().out
  assert '1 videos are in the training set of one task' in out
  assert 'validation: 2 rows left out: their frame has no image' in out
  found = tree.read(tmp_path, f'{NAME}/frames')
  (b,) = found['validation'].values()
  assert (b['frame_id'], b['expression'], b['va']) == (1, 2, True)
  one, two = (found['train'][number] for number in (0, 1))
  assert one['au'].tolist() == two['au'].tolist() == [1, 0] * 6
  assert (one['valence'], one['va'], two['va']) == (0.5, True, False)
  (video,) = sequences(tmp_path, 'train')
  assert video['frame_id'].tolist() == [1, 2]
  old = top / f'{expr}_Challenge/Validation_Set/b.txt'
  tree.write(old, ','.join(NAMES[:7]), '2')
  with pytest.raises(errors.InputError, match='7 columns instead of 8'):
    check.check(NAME, source_dir=source)


def test_images_of_a_video_without_frames_have_numbers(tmp_path):
  header = ('image', 'AU26', 'video')
  rows = [('a.png', 1, 'v'), ('b.png', 0, 'v'), ('c.png', 1, '')]
  source = write_table(tmp_path / 'source', rows, header)
  tree.run(NAME, source, tmp_path, validation_share=0)
  found = tree.read(tmp_path, f'{NAME}/frames')['train']
  names = {n: (r['video'], r['frame_id']) for n, r in found.items()}
  assert names == {0: (b'v', 0), 1: (b'v', 1), 2: (b'c.png', 0)}
  with pytest.raises(errors.InputError, match='sequences need the columns'):
    tree.run(NAME, source, tmp_path, configs=['sequences'])
