"""Records against what the toy builder writes, and against TFDS."""

import json
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds

from abaw_jax.core import errors
from abaw_jax.data import sources
from tests.data import corpora


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  path = tmp_path_factory.mktemp('data')
  corpora.build_toy(path, 'sequences')
  corpora.build_toy(path, 'frames')
  corpora.build_faces(path)
  return path


def test_frames_equal_those_of_the_builder(data_dir):
  records = sources.Records(data_dir, 'toy', 'frames', 'train')
  assert len(records) == 14
  found = {int(record['row']): record for record in records}
  assert sorted(found) == list(range(14))
  for video, columns in corpora.Toy.videos.items():
    for i, row in enumerate(columns['row']):
      record = found[row]
      assert record['video'] == video.encode()
      assert record['image'] == corpora.jpeg(row)
      for field, values in columns.items():
        np.testing.assert_array_equal(record[field], values[i])
        assert record[field].dtype == values.dtype, field


def test_sequences_equal_those_that_tfds_reads(data_dir):
  records = sources.Records(data_dir, 'toy', 'sequences', 'train')
  theirs = tfds.builder_from_directory(
      data_dir / 'toy/sequences/1.0.0'
  ).as_data_source('train')
  assert len(records) == len(theirs) == 5
  for ours, other in zip(records, theirs, strict=True):
    assert ours.keys() == other.keys()
    assert ours['image'] == list(other['image'])
    for field in ours.keys() - {'image'}:
      np.testing.assert_array_equal(ours[field], np.array(other[field]))
  assert records[0]['au'].dtype == np.int8
  assert records[0]['va'].dtype == bool


def test_only_the_given_fields_are_read(data_dir):
  records = sources.Records(data_dir, 'toy', 'frames', 'train')
  assert set(records.with_fields('row', 'image')[3]) == {'row', 'image'}
  with pytest.raises(errors.InputError, match='no field pixels; choose from'):
    records.with_fields('pixels')


def test_records_can_be_pickled(data_dir):
  records = sources.Records(data_dir, 'toy', 'frames', 'train')
  rows = records.with_fields('row')
  copy = pickle.loads(pickle.dumps(rows))
  assert [r['row'] for r in copy] == [r['row'] for r in rows]
  assert set(copy[0]) == {'row'}


def test_names_identify_the_records(data_dir):
  records = sources.Records(data_dir, 'toy', 'frames', 'train')
  names = records.with_fields('image').names({})
  assert names.keys() == {'video', 'frame_id'}
  for record, video, frame_id in zip(records, *names.values(), strict=True):
    assert (video, frame_id) == (record['video'].decode(), record['frame_id'])
  faces = sources.Records(data_dir, 'toy_faces', 'wild', 'validation')
  assert faces.names({}).keys() == {'name'}
  assert sorted(faces.names({})['name']) == [
      f'id/{i}.jpg' for i in (200, 201, 202)
  ]


def test_messages_name_the_dataset_and_the_record(data_dir):
  records = sources.Records(data_dir, 'toy', 'frames', 'train')
  video, frame_id = records[3]['video'].decode(), records[3]['frame_id']
  assert records.with_fields('image').where(3) == (
      f'toy/frames/1.0.0 train: video {video} frame_id {frame_id}'
  )
  faces = sources.Records(data_dir, 'toy_faces', 'wild', 'train')
  name = faces[0]['name'].decode()
  assert faces.where(0) == f'toy_faces/wild/1.0.0 train: name {name}'


def test_repr_is_the_same_on_every_machine(data_dir, tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  here = sources.Records(data_dir, 'toy', 'frames', 'train')
  there = sources.Records(tmp_path, 'toy', 'frames', 'train')
  assert repr(here) == repr(there)
  assert repr(here) == 'Records(toy/frames/1.0.0, train, 14 records)'


def test_num_rows_comes_from_the_metadata(data_dir):
  records = sources.Records(data_dir, 'toy', 'sequences', 'train')
  assert records.num_rows == 14


def test_split_names_are_those_of_the_builder(data_dir):
  assert sources.split_names(data_dir, 'toy', 'frames') == ('train',)
  with pytest.raises(errors.InputError, match='no dataset toy/clips'):
    sources.split_names(data_dir, 'toy', 'clips')


def test_the_version_with_the_highest_number_is_read(data_dir, tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  config = tmp_path / 'toy' / 'frames'
  for version in ('1.9.0', '1.10.0', '2.0.0.incomplete-1'):
    (config / version).symlink_to(config / '1.0.0')
  records = sources.Records(tmp_path, 'toy', 'frames', 'train')
  assert repr(records).startswith('Records(toy/frames/1.10.0,')


@pytest.mark.parametrize(
    ('name', 'config', 'split', 'message'),
    [
        (
            'other',
            'frames',
            'train',
            'no dataset other/frames; found toy/frames, toy/sequences, '
            'toy_faces/wild; '
            'build it with `abaw-jax build other --config=frames',
        ),
        ('toy_features', 'mae', 'train', 'abaw-jax extract'),
        ('toy', 'clips', 'train', 'no dataset toy/clips; found toy/frames'),
        ('toy', 'frames', 'val', "no split 'val'; choose one of train$"),
    ],
)
def test_an_error_names_the_missing_dataset_or_split(
    data_dir, name, config, split, message
):
  with pytest.raises(errors.InputError, match=message) as caught:
    sources.Records(data_dir, name, config, split)
  assert '\n' not in str(caught.value)


def test_an_incomplete_dataset_is_not_read(tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  config = tmp_path / 'toy' / 'frames'
  (config / '1.0.0').rename(config / '1.0.0.incomplete-1')
  for data_dir in (tmp_path, tmp_path / 'none'):
    with pytest.raises(errors.InputError, match='found none;'):
      sources.Records(data_dir, 'toy', 'frames', 'train')


def test_an_empty_split_is_refused(tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  path = tmp_path / 'toy' / 'frames' / '1.0.0' / 'dataset_info.json'
  info = json.loads(path.read_text())
  info['splits'][0]['shardLengths'] = []
  path.write_text(json.dumps(info))
  with pytest.raises(errors.InputError, match="split 'train' is empty"):
    sources.Records(tmp_path, 'toy', 'frames', 'train')
