"""Import of HDF5 files in the layout of AIM3, which the tests write."""

import h5py
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import sources
from abaw_jax.sequences import aim3_files, aim3_labels
from tests.core import locked
from tests.data import corpora

VIDEOS = {
    'train': {'9': 130, '10-30-1280x720': 64},
    'validation': {'4_left': 7},
    'test': {'77': 70},
}


def labels_of(n, seed):
  """Returns random labels [n, 15]; in some rows all AUs are missing."""
  rng = np.random.default_rng(seed)
  label = np.concatenate(
      [
          rng.uniform(-1, 1, (n, 2)),
          rng.integers(-1, 8, (n, 1)),
          rng.integers(0, 2, (n, 12)),
      ],
      axis=-1,
  )
  label[rng.random(n) < 0.3, :2] = -5
  label[rng.random(n) < 0.3, 3:] = -1
  return label


@pytest.fixture
def files(tmp_path):
  """Returns the arguments of `write`; a test may change the files."""
  feature = {}
  with (
      h5py.File(tmp_path / 'features.h5', 'w') as source,
      h5py.File(tmp_path / 'partition.h5', 'w') as partition,
  ):
    for videos in VIDEOS.values():
      for video, n in videos.items():
        feature[video] = np.random.default_rng(n).normal(size=(n, 3))
        source[f'{video}/feature'] = feature[video].astype(np.float32)
    source['never/feature'] = np.zeros((4, 3))
    # 70 distinct frames, one of them twice.
    partition['tst/77'] = np.append(np.arange(70) * 3, 6)
    partition['trn/9'] = np.arange(130)
  for split in ('train', 'validation'):
    with h5py.File(tmp_path / f'{split}.h5', 'w') as target:
      for video, n in VIDEOS[split].items():
        target[f'{video}/label'] = labels_of(n, seed=n)
  return {
      'features': tmp_path / 'features.h5',
      'targets': {
          split: tmp_path / f'{split}.h5' for split in ('train', 'validation')
      },
      'partition': tmp_path / 'partition.h5',
      'data_dir': tmp_path,
      'dataset': 'toy',
      'name': 'mae',
  }


def test_features_and_labels_are_those_of_the_files(files, tmp_path):
  assert aim3_files.write(**files) == {
      'train': (2, 194),
      'validation': (1, 7),
      'test': (1, 70),
  }
  for split, videos in VIDEOS.items():
    records = sources.Records(tmp_path, 'toy_features', 'mae', split)
    assert records.num_rows == sum(videos.values())
    assert max(len(record['row']) for record in records) <= 64
    rows = {}
    for record in records:
      frames = zip(*(record[k] for k in ('row', 'frame_id')), strict=True)
      for i, (row, frame_id) in enumerate(frames):
        fields = {k: v[i] for k, v in record.items() if np.ndim(v)}
        rows[int(row)] = (record['video'].decode(), int(frame_id), fields)
    # HDF5 files list their groups by name.
    expected = [
        (video, t) for video in sorted(videos) for t in range(videos[video])
    ]
    assert [rows[i][:2] for i in range(len(rows))] == expected
    for video, t, fields in rows.values():
      n = videos[video]
      feature = np.random.default_rng(n).normal(size=(n, 3))[t]
      np.testing.assert_array_equal(
          fields['features'], feature.astype(np.float32)
      )
      label = labels_of(n, seed=n)[t]
      if split == 'test':
        label[:] = -1
        label[:2] = -5
      assert fields['valence'] == np.float32(label[0])
      assert fields['arousal'] == np.float32(label[1])
      assert fields['expression'] == label[2]
      np.testing.assert_array_equal(fields['au'], label[3:])
      assert fields['va'] == (label[0] != -5)
      assert fields['expr'] == (label[2] != -1)
      np.testing.assert_array_equal(fields['au_mask'], label[3:] != -1)


def test_imported_features_can_be_read_as_videos(files, tmp_path):
  aim3_files.write(**files)
  found = corpora.open_videos(tmp_path)
  assert found.names == ('10-30-1280x720', '9')
  assert found.sizes == (64, 130)
  # A second run finds the complete dataset.
  aim3_files.write(**files)


def test_a_second_import_changes_nothing(files, tmp_path):
  folder = tmp_path / 'toy_features' / 'mae' / '1.0.0'
  with locked.by_another(folder):
    with pytest.raises(errors.InputError, match='is being filled by process'):
      aim3_files.write(**files)
    assert [path.name for path in folder.parent.iterdir()] == ['1.0.0.lock']


def test_splits_can_be_omitted(files):
  files |= {'partition': None, 'targets': {'train': files['targets']['train']}}
  assert aim3_files.write(**files) == {'train': (2, 194)}


@pytest.mark.parametrize('au_labels', aim3_labels.AU_LABELS)
def test_one_missing_au_masks_all_aus_of_a_frame_or_only_itself(
    files, tmp_path, capsys, au_labels
):
  label = labels_of(130, seed=130)
  row = int(np.argmax((label[:, 3:] != -1).all(-1)))
  change(files['targets']['train'], '9/label', (row, 7), -1)
  aim3_files.write(**files, au_labels=au_labels)
  found = corpora.open_videos(tmp_path).frames(1, row, row + 1)
  out = capsys.readouterr().out
  note = (
      'train: 1 frames lose all 12 AUs, because one or more are missing; --au'
  )
  if au_labels == 'rows':
    assert not found['au_mask'].any()
    assert note in out
  else:
    assert found['au_mask'][0].tolist() == [k != 4 for k in range(12)]
    assert note not in out
    message = "au_labels='entries', not 'rows'"
    with pytest.raises(errors.InputError, match=message):
      aim3_files.write(**files)


def change(path, name, at, value):
  with h5py.File(path, 'r+') as file:
    file[name][at] = value


def replace(path, name, value=None):
  with h5py.File(path, 'r+') as file:
    del file[name]
    if value is not None:
      file[name] = value


FEATURES = ('features',)
TRAIN = ('targets', 'train')


@pytest.mark.parametrize(
    ('file', 'edit', 'args', 'message'),
    [
        (FEATURES, replace, ('9/feature',), r'features.h5: has no 9/feature'),
        (FEATURES, replace, ('9',), r'features.h5: has no 9/feature'),
        (
            TRAIN,
            replace,
            ('9/label', b'text'),
            r'has no 9/label; .* a numeric dataset',
        ),
        (
            FEATURES,
            replace,
            ('9/feature', np.zeros((129, 3))),
            '9/feature: has 129 frames, but the labels of train have 130',
        ),
        (
            FEATURES,
            replace,
            ('9/feature', np.zeros((130, 4))),
            '9/feature: has width 4, but others have 3',
        ),
        (
            FEATURES,
            replace,
            ('9/feature', np.zeros(130)),
            r'must be \[frames, d\]',
        ),
        (
            FEATURES,
            change,
            ('9/feature', (100, 1), np.nan),
            '9/feature: row 100 is NaN or infinite',
        ),
        (
            FEATURES,
            replace,
            ('77/feature', np.full((70, 3), 1e300)),
            '77/feature: row 0 is NaN or infinite',
        ),
        (TRAIN, replace, ('9/label',), 'train.h5: has no 9/label'),
        (
            TRAIN,
            replace,
            ('9/label', np.zeros((130, 14))),
            r'9/label: has shape \(130, 14\); it must be \[frames, 15\]',
        ),
        (TRAIN, change, ('9/label', (3, 1), 1.5), 'row 3: arousal is 1.5; it'),
        (TRAIN, change, ('9/label', (3, 0), np.nan), 'row 3: valence is nan'),
        (
            TRAIN,
            change,
            ('9/label', (3, 0), -2),
            'valence is -2; it must be -1',
        ),
        (
            TRAIN,
            change,
            ('9/label', (3, 2), 8),
            'expression is 8; it must be 0',
        ),
        (TRAIN, change, ('9/label', (3, 2), 1.5), 'expression is 1.5; it must'),
        (TRAIN, change, ('9/label', (3, 14), 2), 'AU is 2; it must be 0 to 1'),
        (
            TRAIN,
            change,
            ('9/label', (3, 3), np.nan),
            'AU is nan; it must be 0 to 1, or -1 if it is missing',
        ),
        (
            ('targets', 'validation'),
            replace,
            ('4_left', None),
            'validation.h5: contains no video',
        ),
        (('partition',), replace, ('tst', None), 'has no group tst with'),
        (
            ('partition',),
            replace,
            ('tst/77', np.arange(69)),
            '77/feature: has 70 frames, but the labels of test have 69',
        ),
    ],
)
def test_an_error_names_the_file_and_the_value(
    files, tmp_path, file, edit, args, message
):
  path = files
  for key in file:
    path = path[key]
  edit(path, *args)
  with pytest.raises(errors.InputError, match=message) as caught:
    aim3_files.write(**files)
  assert '\n' not in str(caught.value)
  assert str(caught.value).startswith(str(tmp_path))
  assert not (tmp_path / 'toy_features' / 'mae' / '1.0.0').exists()


def test_a_video_in_two_splits_is_an_error(files):
  files['targets']['validation'] = files['targets']['train']
  with pytest.raises(errors.InputError, match='is in train and in validation'):
    aim3_files.write(**files)


@pytest.mark.parametrize(
    ('content', 'message'),
    [(None, 'no such file'), (b'no HDF5', 'not a complete HDF5 file')],
)
def test_an_error_names_the_file_that_cannot_be_read(files, content, message):
  files['features'].unlink()
  if content:
    files['features'].write_bytes(content)
  with pytest.raises(errors.InputError, match=f'features.h5: {message}'):
    aim3_files.write(**files)
