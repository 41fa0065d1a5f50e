"""What temporal configs read: ways to batch, folds, filled labels, norms."""

import jax
import numpy as np
import pytest

from abaw_jax.core import errors, labels
from abaw_jax.sequences import stateful_videos, video_groups, windows
from abaw_jax.tasks import inputs
from tests.data import corpora
from tests.training import runs

VIDEOS = {
    'train': corpora.rows({f't{i}': 5 + 7 * i for i in range(6)}),
    'validation': corpora.rows({f'v{i}': 9 + 5 * i for i in range(3)}),
    'test': corpora.rows({'x': 11}),
}
FRAMES = {
    split: {video: corpora.distinct(rows) for video, rows in videos.items()}
    for split, videos in VIDEOS.items()
}


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


def make(toy_dir, **overrides):
  """Returns the smoke config on the toy features; keys are those of `data`."""
  data = {'name': 'toy', 'window': 8, 'stride': 4, 'batch_size': 3, **overrides}
  return runs.smoke(
      'mtl', toy_dir, **{f'data__{key}': value for key, value in data.items()}
  )


def source_of(toy_dir, split='train', **overrides):
  return inputs.make_source(make(toy_dir, **overrides), split)


def names_of(split):
  return set(VIDEOS[split])


def predictions(config, source):
  """Returns what evaluation makes of batches that predict their own rows."""
  parts = []
  for batch in inputs.eval_batches(config, source):
    keep = batch['frame_mask'] & batch['real'][:, None]
    video_id = np.broadcast_to(batch['video_id'][:, None], keep.shape)
    columns = batch | {'video_id': video_id, 'pred_row': batch['row']}
    kept = ('row', 'frame_id', 'video_id', 'valence', 'va', 'pred_row')
    parts.append({key: columns[key][keep] for key in kept})
  rows = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
  return rows, source.listed(rows)


@pytest.mark.parametrize('buckets', [False, True])
@pytest.mark.parametrize('batching', ['windows', 'videos'])
@pytest.mark.parametrize('split', labels.SPLITS)
def test_evaluation_sees_a_frame_once_and_answers_every_row(
    toy_dir, split, batching, buckets
):
  config = make(toy_dir, batching=batching, buckets=buckets)
  source = inputs.make_source(config, split)
  frames, listed = predictions(config, source)
  expected = {
      int(row): (video, int(frame_id))
      for video, columns in FRAMES[split].items()
      for row, frame_id in zip(columns['row'], columns['frame_id'], strict=True)
  }
  assert sorted(frames['row'].tolist()) == sorted(expected)
  for video, columns in VIDEOS[split].items():
    for row, frame_id in zip(columns['row'], columns['frame_id'], strict=True):
      assert listed['row'][row] == row
      assert source.videos.names[listed['video_id'][row]] == video
      assert listed['frame_id'][row] == frame_id
      assert expected[int(listed['pred_row'][row])] == (video, frame_id)


def test_the_way_to_batch_makes_the_source(toy_dir):
  assert isinstance(source_of(toy_dir), windows.Windows)
  source = source_of(toy_dir, batching='videos', buckets=False)
  assert isinstance(source, stateful_videos.StatefulVideos)
  config = make(toy_dir, batching='videos', buckets=False)
  batches = inputs.train_batches(config, source)
  counts = []
  for epoch in range(3):
    first, last = (
        inputs.num_updates(config, source, e) for e in (epoch, epoch + 1)
    )
    seen = [next(batches) for _ in range(last - first)]
    rows = np.sort(np.concatenate([b['row'][b['frame_mask']] for b in seen]))
    np.testing.assert_array_equal(
        rows, np.concatenate([f['row'] for f in FRAMES['train'].values()])
    )
    counts.append(last - first)
  batches.close()
  example = inputs.example(config, source)
  assert {k: (x.shape[1:], x.dtype) for k, x in example.items()} == {
      k: (x.shape[1:], x.dtype) for k, x in seen[0].items()
  }
  assert isinstance(example['start'], jax.Array)


def test_the_ends_of_all_epochs_are_found_in_one_pass(toy_dir, monkeypatch):
  config = make(toy_dir, batching='videos', buckets=False)
  config['epochs'] = 40
  source = source_of(toy_dir, batching='videos', buckets=False)
  # Each of these starts from the first epoch.
  expected = [inputs.num_updates(config, source, i + 1) for i in range(40)]
  plan_epoch = video_groups.Groups._plan_epoch
  planned = []

  def counted(groups, epoch):
    planned.append(epoch)
    return plan_epoch(groups, epoch)

  monkeypatch.setattr(video_groups.Groups, '_plan_epoch', counted)
  assert list(inputs.epoch_ends(config, source)) == expected
  assert planned == list(range(41))
  assert len(set(np.diff(expected))) > 1


def test_updates_of_windows_are_counted_by_the_batch(toy_dir):
  config = make(toy_dir)
  source = inputs.make_source(config, 'train')
  assert inputs.num_updates(config, source, 2.5) == round(2.5 * len(source) / 3)


def test_training_windows_are_full_where_the_video_is(toy_dir):
  for tail, full in (('shift', True), ('short', False)):
    source = source_of(toy_dir, tail=tail)
    lengths = [
        len(source[i]['row'])
        == min(8, len(FRAMES['train'][source[i]['video']]['row']))
        for i in range(len(source))
    ]
    assert all(lengths) == full


@pytest.mark.parametrize('num_folds', [2, 4])
def test_folds_leave_each_video_out_once(toy_dir, num_folds):
  everything = names_of('train') | names_of('validation')
  left_out = []
  for fold in range(num_folds):
    fold_of = {'num_folds': num_folds, 'fold': fold}
    train = source_of(toy_dir, **fold_of).videos
    held = source_of(toy_dir, 'validation', **fold_of).videos
    assert set(train.names) | set(held.names) == everything
    assert not set(train.names) & set(held.names)
    left_out += held.names
    # Features and labels are still those of the frame.
    for video_id, video in enumerate(held.names):
      split = 'train' if video in VIDEOS['train'] else 'validation'
      frames = held.frames(video_id, 0, 99)
      expected = FRAMES[split][video]
      np.testing.assert_array_equal(frames['frame_id'], expected['frame_id'])
      np.testing.assert_array_equal(frames['au'], expected['au'])
      np.testing.assert_array_equal(
          frames['features'], corpora.row_features(expected['row'], 3)
      )
  assert sorted(left_out) == sorted(everything)
  test = source_of(toy_dir, 'test', num_folds=num_folds)
  assert test.videos.names == ('x',)


def test_two_people_of_one_recording_are_left_out_together(tmp_path):
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
    left_out = source_of(
        tmp_path, 'validation', num_folds=3, fold=0, fold_seed=seed
    ).videos.names
    for pair in ({'b_left', 'b_right'}, {'d_left', 'd_right'}):
      assert len(pair & set(left_out)) != 1


def test_rows_of_a_fold_are_told_apart(toy_dir):
  config = make(toy_dir, num_folds=2)
  rows = []
  for fold in range(2):
    config['data']['fold'] = fold
    source = inputs.make_source(config, 'validation')
    rows += predictions(config, source)[1]['row'].tolist()
  count = sum(
      len(columns['row'])
      for split in ('train', 'validation')
      for columns in VIDEOS[split].values()
  )
  assert sorted(rows) == list(range(count))


def test_full_trains_on_both_splits_and_scores_on_one(toy_dir):
  train = source_of(toy_dir, full=True).videos
  assert set(train.names) == names_of('train') | names_of('validation')
  held = source_of(toy_dir, 'validation', full=True).videos
  assert set(held.names) == names_of('validation')


def test_labels_are_filled_in_for_training_only(toy_dir):
  def usable(split, **overrides):
    table = source_of(toy_dir, split, **overrides).videos.table
    return table.columns['expr'].mean()

  assert usable('train', fill_labels=1000) == 1 > usable('train')
  assert usable('validation', fill_labels=1000) == usable('validation')


def test_named_sets_are_normalised(toy_dir):
  config = make(
      toy_dir, features='small, other', norm='train', norm_features='other'
  )
  source = inputs.make_source(config, 'train')
  mean, std = inputs.feature_statistics(config, source)
  rows = np.concatenate([f['row'] for f in FRAMES['train'].values()])
  everything = corpora.row_features(rows, 2).astype(np.float64)
  np.testing.assert_allclose(mean, [0, 0, 0, *everything.mean(0)], rtol=1e-9)
  np.testing.assert_allclose(std, [1, 1, 1, *everything.std(0)], rtol=1e-9)
  assert inputs.feature_statistics(make(toy_dir), source) is None


def test_labels_are_counted_once_per_frame(toy_dir):
  config = make(toy_dir)
  config['loss']['class_weights'] = 'counts'
  source = inputs.make_source(config, 'train')
  counts = inputs.make_label_counts(config, source)
  expected = np.zeros(8, int)
  for frames in FRAMES['train'].values():
    np.add.at(expected, frames['expression'][frames['expr']], 1)
  np.testing.assert_array_equal(counts.expression, expected)


def test_conflicts_are_said(toy_dir, capsys):
  source_of(toy_dir)
  assert 'labels that differ; the first usable one' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (
            {'batching': 'video'},
            'batching=video: choose one of windows, videos',
        ),
        ({'norm': 'trn'}, 'norm=trn: choose one of none, train, video, batch'),
        ({'norm': 'batch'}, 'norm=batch: .*set config.data.batching=videos'),
        ({'tail': 'drop'}, 'tail=drop: choose one of shift, short'),
        ({'window': 0}, 'window=0: give the frames'),
        ({'stride': 9}, 'stride is 9 and length 8'),
        ({'num_folds': 1}, 'num_folds=1: give at least 2'),
        ({'num_folds': 3, 'fold': 3}, 'fold=3: there are folds 0 to 2 '),
        ({'num_folds': 3, 'fold': -1}, 'fold=-1: there are folds 0 to 2 '),
        ({'num_folds': 10}, 'num_folds=10: train and validation have only 9'),
        ({'num_folds': 3, 'full': True}, 'full: trains on every video'),
        ({'fill_labels': -1}, 'fill_labels=-1: give a distance'),
        (
            {'norm': 'video', 'norm_features': 'big'},
            "norm_features=big: 'big' is not one of config.data.features=small",
        ),
    ],
)
def test_wrong_values_are_named(toy_dir, data, message):
  with pytest.raises(errors.InputError, match=message) as caught:
    source_of(toy_dir, **data)
  assert '\n' not in str(caught.value)
