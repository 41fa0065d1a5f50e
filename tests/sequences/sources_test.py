"""Sources made from the keys of a config, against loops over the toy videos."""

import functools

import numpy as np
import pytest

from abaw_jax.configs import mtl
from abaw_jax.core import errors, labels
from abaw_jax.data import label_counts, pipeline, transforms
from abaw_jax.sequences import sources, stateful_videos, windows
from tests.data import corpora

VIDEOS = {
    'train': corpora.rows({f't{i}': 5 + 7 * i for i in range(6)}),
    'validation': corpora.rows({f'v{i}': 9 + 5 * i for i in range(3)}),
    'test': corpora.rows({'x': 11}),
}
FRAMES = {
    split: {video: corpora.distinct(rows) for video, rows in videos.items()}
    for split, videos in VIDEOS.items()
}
BATCH_SIZE, WINDOW = 3, 8
TO_BATCH = functools.partial(transforms.window_batch, length=WINDOW)


@pytest.fixture(scope='module')
def toy_dir(tmp_path_factory):
  path = tmp_path_factory.mktemp('toy')
  for name, dim in (('small', 3), ('other', 2)):
    records = {
        split: [
            {**record, 'features': corpora.row_features(record['row'], dim)}
            for record in corpora.chunks(videos, 8)
        ]
        for split, videos in VIDEOS.items()
    }
    corpora.write_records(path, records, name=name, dim=dim, card={})
  return path


def make(toy_dir, split='train', **overrides):
  """Returns the source of a config; `overrides` are keys of its `data`."""
  data = mtl.get_config('smoke').data.to_dict() | {
      'dir': str(toy_dir),
      'name': 'toy',
      'window': WINDOW,
      'stride': 4,
      'batch_size': BATCH_SIZE,
  }
  assert overrides.keys() <= data.keys()
  return sources.make_source(data | overrides, split)


def names_of(split):
  return set(VIDEOS[split])


def predict(source):
  """Returns the rows of evaluation batches, and those rows as `listed`.

  The prediction of a frame is its row number.
  """
  parts = []
  for batch in pipeline.eval_batches(source, TO_BATCH, batch_size=BATCH_SIZE):
    keep = batch['frame_mask'] & batch['real'][:, None]
    video_id = np.broadcast_to(batch['video_id'][:, None], keep.shape)
    columns = batch | {'video_id': video_id, 'pred_row': batch['row']}
    kept = ('row', 'frame_id', 'video_id', 'valence', 'va', 'pred_row')
    parts.append({key: columns[key][keep] for key in kept})
  rows = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
  return rows, source.listed(rows)


@pytest.mark.parametrize(
    'data',
    [
        {'batching': 'windows'},
        {'batching': 'stateful_videos', 'buckets': False},
        {'batching': 'stateful_videos', 'buckets': True},
    ],
)
@pytest.mark.parametrize('split', labels.SPLITS)
def test_evaluation_reads_each_frame_once_and_predicts_every_row(
    toy_dir, split, data
):
  source = make(toy_dir, split, **data)
  frames, listed = predict(source)
  expected = {
      int(row): (video, int(frame_id))
      for video, columns in FRAMES[split].items()
      for row, frame_id in zip(columns['row'], columns['frame_id'], strict=True)
  }
  assert sorted(frames['row'].tolist()) == sorted(expected)
  names = source.names(listed)['video']
  for video, columns in VIDEOS[split].items():
    for row, frame_id in zip(columns['row'], columns['frame_id'], strict=True):
      assert listed['row'][row] == row
      assert names[row] == video
      assert listed['frame_id'][row] == frame_id
      assert expected[int(listed['pred_row'][row])] == (video, frame_id)


def test_the_key_batching_selects_the_class_of_the_source(toy_dir):
  assert isinstance(make(toy_dir), windows.Windows)
  source = make(toy_dir, batching='stateful_videos', buckets=False)
  assert isinstance(source, stateful_videos.StatefulVideos)
  batches = pipeline.train_batches(
      source, TO_BATCH, batch_size=BATCH_SIZE, seed=0
  )
  examples = source.for_training(0)
  for epoch in range(3):
    first, last = (examples.num_examples(e) for e in (epoch, epoch + 1))
    seen = [next(batches) for _ in range((last - first) // BATCH_SIZE)]
    rows = np.sort(np.concatenate([b['row'][b['frame_mask']] for b in seen]))
    np.testing.assert_array_equal(
        rows, np.concatenate([f['row'] for f in FRAMES['train'].values()])
    )
  batches.close()


def test_an_epoch_of_windows_has_as_many_examples_as_windows(toy_dir):
  source = make(toy_dir)
  assert source.for_training(0).num_examples(2.5) == 2.5 * len(source)


def test_training_windows_are_full_if_the_video_is_long_enough(toy_dir):
  for last_window, full in (('shift', True), ('short', False)):
    source = make(toy_dir, last_window=last_window)
    lengths = [
        len(source[i]['row'])
        == min(WINDOW, len(FRAMES['train'][source[i]['video']]['row']))
        for i in range(len(source))
    ]
    assert all(lengths) == full


@pytest.mark.parametrize('num_folds', [2, 4])
def test_each_video_is_held_out_in_one_fold(toy_dir, num_folds):
  everything = names_of('train') | names_of('validation')
  held_out = []
  for fold in range(num_folds):
    folds = {'num_folds': num_folds, 'fold': fold}
    train = make(toy_dir, **folds).videos
    held = make(toy_dir, 'validation', **folds).videos
    assert set(train.names) | set(held.names) == everything
    assert not set(train.names) & set(held.names)
    held_out += held.names
    # Frames keep their features and labels.
    for video_id, video in enumerate(held.names):
      split = 'train' if video in VIDEOS['train'] else 'validation'
      frames = held.frames(video_id, 0, 99)
      expected = FRAMES[split][video]
      np.testing.assert_array_equal(frames['frame_id'], expected['frame_id'])
      np.testing.assert_array_equal(frames['au'], expected['au'])
      np.testing.assert_array_equal(
          frames['features'], corpora.row_features(expected['row'], 3)
      )
  assert sorted(held_out) == sorted(everything)
  test = make(toy_dir, 'test', num_folds=num_folds)
  assert test.videos.names == ('x',)


def test_videos_of_one_recording_are_in_one_fold(tmp_path):
  names = ['a', 'b_left', 'b_right', 'c', 'd_left', 'd_right', 'e']
  videos = {
      'train': corpora.rows(dict.fromkeys(names, 9)),
      'validation': corpora.rows({'f': 9}),
  }
  records = {
      split: [
          {**record, 'features': corpora.row_features(record['row'], 3)}
          for record in corpora.chunks(rows, 8)
      ]
      for split, rows in videos.items()
  }
  corpora.write_records(tmp_path, records, name='small', dim=3, card={})
  for seed in range(5):
    held_out = make(
        tmp_path, 'validation', num_folds=3, fold=0, fold_seed=seed
    ).videos.names
    for pair in ({'b_left', 'b_right'}, {'d_left', 'd_right'}):
      assert len(pair & set(held_out)) != 1


def test_rows_of_both_splits_have_different_numbers(toy_dir):
  rows = []
  for fold in range(2):
    source = make(toy_dir, 'validation', num_folds=2, fold=fold)
    rows += predict(source)[1]['row'].tolist()
  count = sum(
      len(columns['row'])
      for split in ('train', 'validation')
      for columns in VIDEOS[split].values()
  )
  assert sorted(rows) == list(range(count))


def test_full_trains_on_both_splits(toy_dir):
  train = make(toy_dir, full=True).videos
  assert set(train.names) == names_of('train') | names_of('validation')
  held = make(toy_dir, 'validation', full=True).videos
  assert set(held.names) == names_of('validation')


def test_labels_are_filled_in_training_only(toy_dir):
  def usable(split, **overrides):
    table = make(toy_dir, split, **overrides).videos.table
    return table.columns['expr'].mean()

  assert usable('train', fill_labels=1000) == 1 > usable('train')
  assert usable('validation', fill_labels=1000) == usable('validation')


def test_only_the_named_feature_sets_are_normalized(toy_dir):
  source = make(
      toy_dir, features='small, other', norm='train', norm_features='other'
  )
  mean, std = source.videos.train_statistics()
  rows = np.concatenate([f['row'] for f in FRAMES['train'].values()])
  everything = corpora.row_features(rows, 2).astype(np.float64)
  np.testing.assert_allclose(mean, [0, 0, 0, *everything.mean(0)], rtol=1e-9)
  np.testing.assert_allclose(std, [1, 1, 1, *everything.std(0)], rtol=1e-9)


def test_labels_are_counted_once_per_frame(toy_dir):
  columns = make(toy_dir).videos.table.columns
  counts = label_counts.LabelCounts.of([columns])
  expected = np.zeros(8, int)
  for frames in FRAMES['train'].values():
    np.add.at(expected, frames['expression'][frames['expr']], 1)
  np.testing.assert_array_equal(counts.expression, expected)


def test_the_number_of_conflicting_labels_is_printed(toy_dir, capsys):
  make(toy_dir)
  assert 'different labels; the first usable label' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (
            {'batching': 'video'},
            "batching: unknown value 'video'; choose one of windows, stateful",
        ),
        (
            {'norm': 'trn'},
            "data.norm: unknown value 'trn'; choose one of none, train",
        ),
        (
            {'norm': 'batch'},
            'norm=batch: .*set config.data.batching=stateful_videos',
        ),
        (
            {'last_window': 'drop'},
            "data.last_window: .*'drop'; choose one of shift",
        ),
        ({'stride': 9}, 'stride is 9 and length 8'),
        ({'features': 'small, small'}, 'names small twice; name it once'),
        ({'num_folds': 1}, 'num_folds=1: give at least 2'),
        ({'num_folds': 3, 'fold': 3}, 'fold=3: choose a fold from 0 to 2'),
        ({'num_folds': 10}, 'num_folds=10: train and validation have only 9 '),
        ({'num_folds': 3, 'full': True}, 'data.full trains on all videos'),
        (
            {'norm': 'video', 'norm_features': 'big'},
            "norm_features: unknown value 'big'; choose one of small",
        ),
    ],
)
def test_an_error_names_the_wrong_value(toy_dir, data, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    make(toy_dir, **data)
  assert '\n' not in str(caught.value)
