"""Frames of videos against the arrays that were written."""

import pickle

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import sources, transforms
from abaw_jax.sequences import table, videos
from tests.data import corpora

VIDEOS = corpora.rows({'10': 41, '9_left': 24, 'video1': 1})
FRAMES = {video: corpora.distinct(rows) for video, rows in VIDEOS.items()}


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  path = tmp_path_factory.mktemp('data')
  corpora.write_features(path, VIDEOS)
  corpora.write_features(path, VIDEOS, name='iresnet', dim=2, chunk_size=7)
  return path


def stored(video, *dims):
  """Returns the features of a video as they were written."""
  rows = FRAMES[video]['row']
  return np.concatenate([corpora.row_features(rows, d) for d in dims], axis=-1)


def test_feature_sets_are_joined_in_the_listed_order(data_dir):
  found = corpora.open_videos(data_dir, 'iresnet', 'mae')
  assert found.dim == 5
  assert found.sizes == tuple(len(f['row']) for f in FRAMES.values())
  frames = found.frames(0, 3, 20)
  np.testing.assert_array_equal(frames['features'], stored('10', 2, 3)[3:20])
  np.testing.assert_array_equal(frames['row'], FRAMES['10']['row'][3:20])
  assert frames['video'] == '10'
  # There are no frames after the end.
  last = found.frames(1, 10, 99)
  np.testing.assert_array_equal(last['features'], stored('9_left', 2, 3)[10:])
  for empty in (found.frames(1, 30, 40), found.no_frames()):
    assert empty['features'].shape == (0, 5)
    assert empty['au'].shape == (0, 12)


def test_frames_can_be_images(tmp_path):
  corpora.build_toy(tmp_path, 'sequences')
  sets = [[sources.Records(tmp_path, 'toy', 'sequences', 'train')]]
  found = videos.Videos(table.read(sets), sets)
  assert found.dim == 0
  frames = found.frames(0, 2, 6)
  assert frames['image'] == [corpora.jpeg(row) for row in frames['row']]


def test_a_video_is_normalized_by_its_own_frames(data_dir, monkeypatch):
  monkeypatch.setattr(videos, '_CHUNK', 7)
  found = corpora.open_videos(data_dir, norm='video')
  for video_id, video in enumerate(('10', '9_left')):
    x = stored(video, 3).astype(np.float64)
    expected = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    frames = found.frames(video_id, 5, 12)
    np.testing.assert_allclose(frames['features'], expected[5:12], rtol=1e-5)
    assert frames['features'].dtype == np.float32
  # One frame has no standard deviation.
  assert not found.frames(2, 0, 4)['features'].any()


def test_only_the_selected_feature_sets_are_normalized(data_dir):
  found = corpora.open_videos(
      data_dir, 'mae', 'iresnet', norm='video', normalized=[False, True]
  )
  features = found.frames(0, 0, 99)['features']
  np.testing.assert_array_equal(features[:, :3], stored('10', 3))
  np.testing.assert_allclose(features[:, 3:].mean(axis=0), 0, atol=1e-6)
  mean, std = found.train_statistics()
  np.testing.assert_array_equal(mean[:3], 0)
  np.testing.assert_array_equal(std[:3], 1)
  assert (std[3:] > 1).all()


def test_train_statistics_are_over_all_frames(data_dir):
  found = corpora.open_videos(data_dir, 'mae', 'iresnet', norm='train')
  everything = np.concatenate([stored(v, 3, 2) for v in VIDEOS])
  mean, std = found.train_statistics()
  assert mean.dtype == std.dtype == np.float64
  everything = everything.astype(np.float64)
  np.testing.assert_allclose(mean, everything.mean(axis=0), rtol=1e-12)
  np.testing.assert_allclose(std, everything.std(axis=0), rtol=1e-9)
  # The model applies the statistics; the frames are not normalized.
  np.testing.assert_array_equal(
      found.frames(0, 0, 4)['features'], stored('10', 3, 2)[:4]
  )


def test_each_row_of_the_list_gets_the_values_of_its_frame(data_dir):
  found = corpora.open_videos(data_dir)
  rows = found.table.columns['row']
  order = np.random.default_rng(0).permutation(len(rows))
  # One frame occurs twice.
  order = np.append(order, order[:1])
  given = {
      'row': rows[order],
      'frame_id': found.table.columns['frame_id'][order],
      'pred': np.stack([rows[order] * 2.0, rows[order] * 3.0], axis=-1),
  }
  listed = found.listed(given)
  seen = []
  for row, frame_id, pred in zip(
      listed['row'], listed['frame_id'], listed['pred'], strict=True
  ):
    (video,) = [v for v in VIDEOS if row in VIDEOS[v]['row']]
    at = np.flatnonzero(VIDEOS[video]['row'] == row)[0]
    assert VIDEOS[video]['frame_id'][at] == frame_id
    first = VIDEOS[video]['frame_id'].tolist().index(frame_id)
    kept = VIDEOS[video]['row'][first]
    np.testing.assert_array_equal(pred, [kept * 2.0, kept * 3.0])
    seen.append(row)
  assert seen == list(range(66))


def test_videos_can_be_pickled_and_keep_their_repr(data_dir):
  found = corpora.open_videos(data_dir, norm='video')
  before = found.frames(0, 2, 9)['features']
  copy = pickle.loads(pickle.dumps(found))
  np.testing.assert_array_equal(copy.frames(0, 2, 9)['features'], before)
  assert repr(copy) == repr(found)


@pytest.mark.parametrize('norm', ['video', 'train'])
def test_statistics_name_the_frame_with_a_bad_feature(
    tmp_path, norm, monkeypatch
):
  records = [
      {**record, 'features': corpora.row_features(record['row'], 3)}
      for record in corpora.chunks({'10': VIDEOS['10']}, 4)
  ]
  records[2]['features'][1, 2] = np.nan
  frame = records[2]['frame_id'][1]
  with monkeypatch.context() as unchecked:
    unchecked.setattr(transforms, 'check_features', lambda *_: None)
    corpora.write_records(tmp_path, {'train': records}, card={})
  found = corpora.open_videos(tmp_path, norm=norm)
  with pytest.raises(errors.InputError, match=f'video 10 frame {frame}: feat'):
    found.frames(0, 0, 2) if norm == 'video' else found.train_statistics()


@pytest.mark.parametrize('norm', videos.NORMS)
def test_frames_from_memory_are_those_from_disk(data_dir, monkeypatch, norm):
  expected, held = (
      corpora.open_videos(data_dir, 'iresnet', 'mae', norm=norm)
      for _ in range(2)
  )
  counts = []
  held.fill(counts.append)
  assert sum(counts) == sum(held.sizes)
  assert held.num_bytes == 4 * 5 * sum(held.sizes)
  parts = [(0, 3, 9), (0, 28, 40), (1, 0, 18), (2, 0, 1)]
  theirs = [expected.frames(*part, padded=50) for part in parts]
  empty = expected.no_frames()
  monkeypatch.setattr(sources.Records, '__getitem__', None)
  for ours, other in zip(
      [*(held.frames(*part, padded=50) for part in parts), held.no_frames()],
      [*theirs, empty],
      strict=True,
  ):
    assert ours.keys() == other.keys()
    for name, value in ours.items():
      assert np.asarray(value).dtype == np.asarray(other[name]).dtype
      np.testing.assert_array_equal(value, other[name], name)
  with pytest.raises(ValueError, match='read-only'):
    held.no_frames()['features'][:] = 0
