import pickle

import numpy as np
import pytest

from abaw_jax import errors
from abaw_jax.data import sources, windows
from tests.data import corpora

VIDEOS = corpora.rows({'10': 11, '9_left': 4, 'video1': 1})


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  path = tmp_path_factory.mktemp('data')
  corpora.write_features(path, VIDEOS)
  corpora.write_features(path, VIDEOS, name='iresnet', dim=2, chunk_size=7)
  return path


def make(data_dir, *names, length, stride):
  records = [
      sources.Records(data_dir, 'toy_features', name, 'train')
      for name in names or ('mae',)
  ]
  return windows.Windows(records, length=length, stride=stride)


@pytest.mark.parametrize('length', [1, 3, 4, 5, 16])
def test_stride_of_a_window_gives_each_row_once_in_order(data_dir, length):
  found = make(data_dir, length=length, stride=length)
  rows = np.concatenate([window['row'] for window in found])
  np.testing.assert_array_equal(rows, np.arange(16))
  assert found.num_rows == 16
  assert found.videos == ('10', '9_left', 'video1')


@pytest.mark.parametrize(('length', 'stride'), [(4, 1), (4, 3), (6, 2)])
def test_overlapping_windows_equal_slices_of_the_videos(
    data_dir, length, stride
):
  expected = []
  for video, columns in VIDEOS.items():
    seen = 0
    for start in range(0, len(columns['row']), stride):
      if start + length > seen and seen < len(columns['row']):
        seen = start + length
        part = {k: v[start : start + length] for k, v in columns.items()}
        expected.append((video, part))
  found = make(data_dir, length=length, stride=stride)
  assert len(found) == len(expected)
  for i, (video, part) in enumerate(expected):
    window = found[i]
    assert window['video'] == video == found.videos[window['video_id']]
    for field, values in part.items():
      np.testing.assert_array_equal(window[field], values)
      assert window[field].dtype == values.dtype
    np.testing.assert_array_equal(
        window['features'], corpora.row_features(part['row'], 3)
    )


def test_feature_sets_are_joined_in_the_listed_order(data_dir):
  window = make(data_dir, 'iresnet', 'mae', length=8, stride=8)[0]
  np.testing.assert_array_equal(
      window['features'],
      np.concatenate(
          [corpora.row_features(np.arange(8), d) for d in (2, 3)], axis=-1
      ),
  )


def test_datasets_of_other_rows_are_refused(data_dir, tmp_path):
  changed = {video: dict(columns) for video, columns in VIDEOS.items()}
  changed['9_left']['frame_id'] = changed['9_left']['frame_id'] + 90
  shorter = {video: VIDEOS[video] for video in ('10', '9_left')}
  mae = sources.Records(data_dir, 'toy_features', 'mae', 'train')
  first = VIDEOS['9_left']['frame_id'][0]
  for name, videos, message in (
      ('changed', changed, f'video 9_left has no frame {first} '),
      ('shorter', shorter, 'shorter.*video video1 has no frame'),
  ):
    corpora.write_features(tmp_path, videos, name=name)
    other = sources.Records(tmp_path, 'toy_features', name, 'train')
    for pair in ([mae, other], [other, mae]):
      with pytest.raises(errors.InputError, match='has no frame') as caught:
        windows.Windows(pair, length=4, stride=4)
    with pytest.raises(errors.InputError, match=message) as caught:
      windows.Windows([mae, other], length=4, stride=4)
    assert '\n' not in str(caught.value)


def test_image_windows_hold_encoded_images(tmp_path):
  corpora.build_toy(tmp_path, 'sequences')
  records = sources.Records(tmp_path, 'toy', 'sequences', 'train')
  found = windows.Windows([records], length=6, stride=6)
  assert [len(window['image']) for window in found] == [6, 3, 5]
  for window in found:
    assert window['image'] == [corpora.jpeg(row) for row in window['row']]


def test_windows_survive_pickling_and_have_a_stable_repr(data_dir):
  found = make(data_dir, length=4, stride=3)
  copy = pickle.loads(pickle.dumps(found))
  np.testing.assert_array_equal(copy[2]['row'], found[2]['row'])
  assert repr(copy) == repr(found)
  assert repr(found) == (
      'Windows([Records(toy_features/mae/1.0.0, train, 5 records)], length=4, '
      'stride=3, 6 windows)'
  )


@pytest.mark.parametrize('stride', [0, 5])
def test_a_stride_that_loses_rows_is_refused(data_dir, stride):
  with pytest.raises(errors.InputError, match='choose 1 <= stride <= length'):
    make(data_dir, length=4, stride=stride)
