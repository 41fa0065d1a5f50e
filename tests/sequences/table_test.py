"""Tables against loops over the rows: distinct frames, labels, filling, parts."""

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import sources
from abaw_jax.sequences import table
from tests.data import corpora

VIDEOS = corpora.rows({'10': 41, '9_left': 24, 'video1': 1})
FRAMES = {video: corpora.distinct(rows) for video, rows in VIDEOS.items()}


def records(data_dir, name='mae', split='train'):
  return sources.Records(data_dir, 'toy_features', name, split)


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  path = tmp_path_factory.mktemp('data')
  corpora.write_features(path, VIDEOS)
  corpora.write_features(path, VIDEOS, name='iresnet', dim=2, chunk_size=7)
  return path


def check(found, expected):
  """Compares the columns of a table with those of videos, field by field."""
  assert found.videos == tuple(expected)
  bounds = found.bounds()
  for i, frames in enumerate(expected.values()):
    for name, values in frames.items():
      part = found.columns[name][bounds[i] : bounds[i + 1]]
      np.testing.assert_array_equal(part, values, err_msg=name)
      assert part.dtype == values.dtype, name


def test_each_frame_has_the_first_usable_labels(data_dir):
  found = table.read([[records(data_dir)], [records(data_dir, 'iresnet')]])
  check(found, FRAMES)
  # Each place leads to the record of its frame.
  for places, name in zip(found.places, ('mae', 'iresnet'), strict=True):
    source = records(data_dir, name)
    for i, (record, position) in enumerate(places.tolist()):
      assert source[record]['row'][position] == found.columns['row'][i]


def test_each_row_of_the_list_has_the_index_of_its_frame(data_dir):
  found = table.read([[records(data_dir)]])
  rows = {
      row: (video, frame_id)
      for video, columns in VIDEOS.items()
      for row, frame_id in zip(
          columns['row'].tolist(), columns['frame_id'].tolist(), strict=True
      )
  }
  found_rows = {
      row: (found.videos[found.video_id[i]], found.columns['frame_id'][i])
      for row, i in zip(
          found.listed_row.tolist(), found.listed.tolist(), strict=True
      )
  }
  assert found_rows == rows


def test_frames_with_conflicting_labels_are_counted(tmp_path):
  columns = {
      name: np.repeat(value[:1], 6, axis=0)
      for name, value in VIDEOS['10'].items()
  }
  columns |= {
      'frame_id': np.array([1, 1, 1, 2, 2, 3], np.int32),
      'row': np.arange(6, dtype=np.int32),
      'expression': np.array([-1, 4, 5, 2, 2, 7], np.int32),
      'expr': np.array([False, True, True, True, True, True]),
      'au': np.repeat(np.array([0, 0, 1, 0, 1, 1], np.int8)[:, None], 12, 1),
      'au_mask': np.repeat(np.array([[1, 1, 1, 0, 1, 1]], bool).T, 12, axis=1),
      'valence': np.array([0.5, -5, 0.5, 0.1, 0.1, 0.1], np.float32),
      'arousal': np.array([0.5, -5, 0.5, 0.1, 0.1, 0.1], np.float32),
      'va': np.array([True, False, True, True, True, True]),
  }
  corpora.write_features(tmp_path, {'v': columns})
  found = table.read([[records(tmp_path)]])
  assert found.conflicts == 1  # frame 1, in expression and in AUs
  np.testing.assert_array_equal(found.columns['expression'], [4, 2, 7])
  np.testing.assert_array_equal(found.columns['au'][:, 3], [0, 1, 1])
  np.testing.assert_array_equal(found.columns['row'], [0, 3, 5])
  assert found.columns['va'].all()


def test_row_numbers_of_a_second_split_continue(tmp_path):
  both = {}
  for split, video in (('train', '9_left'), ('validation', '10')):
    columns = dict(VIDEOS[video])
    columns['row'] = np.arange(len(columns['row']), dtype=np.int32)
    both[split] = [
        {**record, 'features': corpora.row_features(record['row'], 3)}
        for record in corpora.chunks({video: columns}, 4)
    ]
  corpora.write_records(tmp_path, both, card={})
  found = table.read(
      [[records(tmp_path), records(tmp_path, split='validation')]]
  )
  assert found.videos == ('10', '9_left')
  np.testing.assert_array_equal(np.sort(found.listed_row), np.arange(41 + 24))
  rows = found.columns['row'][found.video_id == 0]
  np.testing.assert_array_equal(rows - 24, FRAMES['10']['row'])


def test_datasets_with_different_rows_are_an_error(data_dir, tmp_path):
  changed = {video: dict(columns) for video, columns in VIDEOS.items()}
  changed['9_left']['frame_id'] = changed['9_left']['frame_id'] + 900
  shorter = {video: VIDEOS[video] for video in ('10', '9_left')}
  mae = records(data_dir)
  first = VIDEOS['9_left']['frame_id'][0]
  for name, videos, message in (
      ('changed', changed, f'video 9_left has no frame {first} '),
      ('shorter', shorter, 'shorter.*video video1 has no frame'),
  ):
    corpora.write_features(tmp_path, videos, name=name)
    other = records(tmp_path, name)
    with pytest.raises(errors.InputError, match='has no frame'):
      table.read([[other], [mae]])
    with pytest.raises(errors.InputError, match=message) as caught:
      table.read([[mae], [other]])
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('max_distance', [1, 6, 1000])
def test_missing_labels_come_from_the_nearest_frame(data_dir, max_distance):
  expected = {}
  for video, frames in FRAMES.items():
    filled = {name: value.copy() for name, value in frames.items()}
    for mask, names in (
        ('va', ('valence', 'arousal')),
        ('expr', ('expression',)),
        ('au_mask', ('au',)),
    ):
      usable = frames[mask].reshape(len(frames[mask]), -1).any(axis=1)
      for i in np.flatnonzero(~usable):
        distances = [
            (abs(int(frames['frame_id'][j]) - int(frames['frame_id'][i])), j)
            for j in np.flatnonzero(usable)
        ]
        if distances and min(distances)[0] <= max_distance:
          for name in (mask, *names):
            filled[name][i] = frames[name][min(distances)[1]]
    expected[video] = filled
  before = table.read([[records(data_dir)]])
  check(before.filled(max_distance), expected)
  check(before, FRAMES)


def test_the_earlier_of_two_equally_near_labels_is_used(tmp_path):
  columns = {name: value[:3] for name, value in VIDEOS['10'].items()}
  columns |= {
      'frame_id': np.array([10, 20, 30], np.int32),
      'expression': np.array([3, -1, 5], np.int32),
      'expr': np.array([True, False, True]),
  }
  corpora.write_features(tmp_path, {'v': columns})
  found = table.read([[records(tmp_path)]])
  near = found.filled(10).columns
  np.testing.assert_array_equal(near['expression'], [3, 3, 5])
  assert near['expr'].all()
  np.testing.assert_array_equal(found.filled(9).columns['expr'], [1, 0, 1])


@pytest.mark.parametrize('keep', [(1, 0, 1), (0, 1, 0), (1, 1, 1)])
def test_a_part_equals_the_table_of_its_videos_alone(data_dir, keep, tmp_path):
  found = table.read([[records(data_dir)]]).only(np.array(keep, bool))
  kept = {v: VIDEOS[v] for v, k in zip(VIDEOS, keep, strict=True) if k}
  check(found, {video: FRAMES[video] for video in kept})
  corpora.write_features(tmp_path, kept)
  alone = table.read([[records(tmp_path)]])
  np.testing.assert_array_equal(found.video_id, alone.video_id)
  np.testing.assert_array_equal(found.listed, alone.listed)
  np.testing.assert_array_equal(found.listed_row, alone.listed_row)
  source = records(data_dir)
  for place, row in zip(
      found.places[0].tolist(), found.columns['row'].tolist(), strict=True
  ):
    assert source[place[0]]['row'][place[1]] == row
