"""Records contain the bytes of the files, in the order of time."""

import csv
import random

import numpy as np
import pytest
import tensorflow_datasets as tfds

from abaw_jax.data_builders.s_aff_wild2 import annotations, records
from tests.data_builders import aff_wild2_tree as tree
from tests.data_builders import built


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
  """A source folder with a long video, and its dataset in both configs."""
  source = tmp_path_factory.mktemp('source')
  data = tmp_path_factory.mktemp('data')
  small = tree.small()
  small.train += tree.long_video(150)[1:]
  small.write(source)
  built.run(source, data, configs=['sequences', 'frames'])
  return source, data


@pytest.mark.parametrize('config', ['sequences', 'frames'])
def test_every_line_comes_back_with_its_bytes_and_labels(dataset, config):
  source, data = dataset
  lists = ('training_set_annotations.txt', 'validation_set_annotations.txt')
  for split, name in zip(built.SPLITS, lists, strict=False):
    found = built.rows(data, config, split)
    with (source / name).open() as file:
      lines = list(csv.reader(file))[1:]
    assert sorted(found) == list(range(len(lines)))
    for number, (image, v, a, expression, *aus) in enumerate(lines):
      row = found[number]
      assert row['image'] == (source / 'cropped_aligned' / image).read_bytes()
      video, frame = image.removesuffix('.jpg').split('/')
      assert row['video'] == video.encode()
      assert row['frame_id'] == int(frame)
      assert row['valence'] == np.float32(v)
      assert row['arousal'] == np.float32(a)
      assert row['expression'] == int(expression)
      assert row['au'].tolist() == [int(au) for au in aus]
      assert row['va'] == (float(v) != -5 and float(a) != -5)
      assert row['expr'] == (expression != '-1')
      assert row['au_mask'].tolist() == ['-1' not in aus] * 12


@pytest.mark.parametrize('config', ['sequences', 'frames'])
def test_the_types_are_those_of_the_schema(dataset, config):
  _, data = dataset
  builder = tfds.builder_from_directory(built.folder(data, config))
  features = dict(builder.info.features.items())
  frames = () if config == 'frames' else (None,)
  del features['video'], features['image']
  if config == 'sequences':
    assert features.pop('chunk').np_dtype == np.int32
  assert {name: (f.np_dtype, f.shape) for name, f in features.items()} == {
      'frame_id': (np.int32, frames),
      'row': (np.int32, frames),
      'valence': (np.float32, frames),
      'arousal': (np.float32, frames),
      'expression': (np.int32, frames),
      'au': (np.int8, (*frames, 12)),
      'va': (np.bool_, frames),
      'expr': (np.bool_, frames),
      'au_mask': (np.bool_, (*frames, 12)),
  }
  assert builder.info.file_format.value == 'array_record'


@pytest.mark.parametrize('config', ['sequences', 'frames'])
def test_the_test_split_has_every_row_and_no_label(dataset, config):
  source, data = dataset
  found = built.rows(data, config, 'test')
  assert [found[i]['frame_id'] for i in range(3)] == [17, 8, 17]
  images = source / 'test_set/cropped_aligned/video45_1'
  for row in found.values():
    image = images / f'{row["frame_id"]:05d}.jpg'
    assert row['image'] == image.read_bytes()
    assert not any((row['va'], row['expr'], *row['au_mask']))
    assert row['valence'] == row['arousal'] == -5
    assert row['expression'] == -1
    assert (row['au'] == -1).all()


def test_chunks_restore_the_order_of_time(dataset):
  _, data = dataset
  videos = {}
  for example in built.examples(data, 'sequences', 'train'):
    chunks = videos.setdefault(example['video'], [])
    assert example['chunk'] == len(chunks)
    chunks.append(example)
  assert [len(chunk['row']) for chunk in videos[b'long']] == [64, 64, 22]
  frames = np.concatenate([chunk['frame_id'] for chunk in videos[b'long']])
  assert frames.tolist() == list(range(3, 451, 3))
  (chunk,) = videos[b'116']
  assert chunk['frame_id'].tolist() == [1, 3, 3, 7, 50, 60]
  assert chunk['row'].tolist() == [2, 3, 5, 1, 0, 4]
  assert chunk['image'][1] == chunk['image'][2]


def test_sequences_are_ordered_complete_and_of_one_video():
  rng = random.Random(0)
  rows = [
      annotations.Row(f'{v}/{f}.jpg', v, f, row, row + 2)
      for row, (v, f) in enumerate(
          (rng.choice('abc'), rng.randrange(90)) for _ in range(400)
      )
  ]
  seen = []
  position = {}
  for video, chunk, run in records.sequences(rows, 64):
    assert chunk == position.get(video, -1) + 1
    position[video] = chunk
    assert {row.video for row in run} == {video}
    assert len(run) <= 64
    seen += run
  by_time = sorted(rows, key=lambda row: (row.video, row.frame_id, row.row))
  assert seen == by_time
  # Only the last example of a video may be short.
  counts = {v: sum(row.video == v for row in rows) for v in 'abc'}
  assert {v: c + 1 for v, c in position.items()} == {
      v: -(-n // 64) for v, n in counts.items()
  }


def test_columns_have_the_types_of_the_schema():
  columns = records.columns([annotations.Row('a/1.jpg', 'a', 1, 0, 2)] * 2)
  assert {name: (c.dtype, c.shape) for name, c in columns.items()} == {
      'frame_id': (np.int32, (2,)),
      'row': (np.int32, (2,)),
      'valence': (np.float32, (2,)),
      'arousal': (np.float32, (2,)),
      'expression': (np.int32, (2,)),
      'au': (np.int8, (2, 12)),
      'va': (np.bool_, (2,)),
      'expr': (np.bool_, (2,)),
      'au_mask': (np.bool_, (2, 12)),
  }
