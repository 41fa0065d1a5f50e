"""Windows against slices of the videos."""

import pickle

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import transforms
from abaw_jax.sequences import windows
from tests.data import corpora

VIDEOS = corpora.rows({'10': 13, '9_left': 4, 'video1': 1})
FRAMES = {video: corpora.distinct(rows) for video, rows in VIDEOS.items()}
SIZES = {video: len(frames['row']) for video, frames in FRAMES.items()}


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  path = tmp_path_factory.mktemp('data')
  corpora.write_features(path, VIDEOS)
  return path


def make(data_dir, *, length, stride, last_window='short'):
  return windows.Windows(
      corpora.open_videos(data_dir),
      length=length,
      stride=stride,
      last_window=last_window,
  )


def every(found):
  """Returns all windows."""
  return [found[i] for i in range(len(found))]


@pytest.mark.parametrize('last_window', ['short', 'shift'])
@pytest.mark.parametrize('length', [1, 3, 4, 5, 16])
def test_evaluation_contains_each_frame_once_in_order(
    data_dir, length, last_window
):
  found = make(
      data_dir, length=length, stride=1, last_window=last_window
  ).for_evaluation()
  rows = np.concatenate([window['row'] for window in every(found)])
  expected = np.concatenate([frames['row'] for frames in FRAMES.values()])
  np.testing.assert_array_equal(rows, expected)
  assert found.videos.names == ('10', '9_left', 'video1')


@pytest.mark.parametrize(('length', 'stride'), [(4, 1), (4, 3), (6, 2)])
def test_overlapping_windows_equal_slices_of_the_videos(
    data_dir, length, stride
):
  expected = []
  for video, columns in FRAMES.items():
    seen = 0
    for start in range(0, len(columns['row']), stride):
      if start + length > seen and seen < len(columns['row']):
        seen = start + length
        part = {k: v[start : start + length] for k, v in columns.items()}
        expected.append((video, start, part))
  found = make(data_dir, length=length, stride=stride)
  assert len(found) == len(expected)
  for i, (video, start, part) in enumerate(expected):
    window = found[i]
    assert window['video'] == video == found.videos.names[window['video_id']]
    assert window['start'] == (start == 0)
    assert window['window_length'] == length
    assert window['real']
    for field, values in part.items():
      np.testing.assert_array_equal(window[field], values)
      assert window[field].dtype == values.dtype
    np.testing.assert_array_equal(
        window['features'], corpora.row_features(part['row'], 3)
    )


@pytest.mark.parametrize(('length', 'stride'), [(4, 4), (4, 3), (9, 5), (3, 1)])
def test_shifted_last_windows_are_full_and_contain_all_frames(
    data_dir, length, stride
):
  found = every(
      make(data_dir, length=length, stride=stride, last_window='shift')
  )
  short = every(make(data_dir, length=length, stride=stride))
  assert len(found) == len(short)
  for window, other in zip(found, short, strict=True):
    size = SIZES[window['video']]
    assert len(window['row']) == min(length, size)
    # The shifted window and the short one end at the same frame.
    assert window['row'][-1] == other['row'][-1]
    assert window['start'] == (
        window['row'][0] == FRAMES[window['video']]['row'][0]
    )
  rows = {row for window in found for row in window['row'].tolist()}
  assert rows == {row for f in FRAMES.values() for row in f['row'].tolist()}


@pytest.mark.parametrize('norm', ['none', 'video'])
@pytest.mark.parametrize(('length', 'stride'), [(1, 1), (4, 3), (16, 16)])
def test_a_batch_equals_that_of_its_windows(data_dir, length, stride, norm):
  found = windows.Windows(
      corpora.open_videos(data_dir, norm=norm), length=length, stride=stride
  )
  indices = np.random.default_rng(0).permutation(len(found))[:5].tolist()
  read = found.batch(indices, rows=7)
  expected = transforms.window_batch(
      [found[i] for i in indices], rows=7, length=length
  )
  found.fill(lambda count: None, num_workers=0, read_threads=1)
  held = found.batch(indices, rows=7)
  if norm == 'video':
    assert read is held is None
    return
  for batch in (read, held):
    assert batch.keys() == expected.keys()
    for field, value in expected.items():
      np.testing.assert_array_equal(batch[field], value, err_msg=field)
      assert batch[field].dtype == value.dtype
  shuffled = found.for_training(3)
  assert shuffled.batch([0, 1], rows=2)['row'].tolist() == [
      shuffled[i]['row'].tolist() + [0] * (length - len(shuffled[i]['row']))
      for i in (0, 1)
  ]


def test_features_that_are_not_finite_are_named_when_they_are_read(tmp_path):
  records = [
      x | {'features': corpora.row_features(x['row'], 3)}
      for x in corpora.chunks(VIDEOS, 4)
  ]
  corpora.write_records(tmp_path, {'train': records}, name='mae', card={})
  found = windows.Windows(corpora.open_videos(tmp_path), length=1, stride=1)
  read = found.videos._payload

  def damaged(rows):
    payload = read(rows)
    payload['features'][-1] = np.nan
    return payload

  found.videos._payload = damaged
  last = FRAMES['10']['frame_id'][[3, -1]]
  with pytest.raises(
      errors.InputError, match=f'video 10 frame {last[0]}: .* NaN'
  ):
    found.batch([0, 3], rows=4)
  with pytest.raises(
      errors.InputError, match=f'video 10 frame {last[1]}: .* NaN'
  ):
    found.fill(lambda count: None, num_workers=0, read_threads=1)


def test_windows_can_be_pickled_and_keep_their_repr(data_dir):
  found = make(data_dir, length=4, stride=3)
  copy = pickle.loads(pickle.dumps(found))
  np.testing.assert_array_equal(copy[2]['row'], found[2]['row'])
  assert repr(copy) == repr(found)
  assert repr(found) == (
      'Windows(Videos([Records(toy_features/mae/1.0.0, train, 6 records)], 3 '
      'videos), length=4, stride=3, 5 windows)'
  )


@pytest.mark.parametrize('stride', [0, 5])
def test_a_stride_that_skips_frames_is_an_error(data_dir, stride):
  with pytest.raises(errors.InputError, match='choose 1 <= stride <= length'):
    make(data_dir, length=4, stride=stride)
