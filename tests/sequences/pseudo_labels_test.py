"""Pseudo-labels fill missing labels of training frames, and nothing else."""

import pathlib

import numpy as np
import pytest

from abaw_jax.checkpoints import runs as stored
from abaw_jax.core import errors, labels
from abaw_jax.data import label_counts, protocol
from abaw_jax.data import sources as records_lib
from abaw_jax.inference import evaluation
from abaw_jax.scoring import prediction_files, predictions
from abaw_jax.sequences import pseudo_labels, sources
from abaw_jax.sequences import table as table_lib
from abaw_jax.tasks import registry
from abaw_jax.training import loop
from tests.training import runs

MASKS = tuple(table_lib.LABELS)


def make_source(feature_dir, split='train', **changes):
  data = runs.smoke('mtl', feature_dir)['data'] | changes
  return sources.make_source(data, split)


def write(path, source, **changes):
  """Writes a pseudo-label of every kind for each frame of a source."""
  frames = source.videos.table
  rows = {
      'video': np.array(frames.videos)[frames.video_id],
      'frame_id': frames.columns['frame_id'],
      'row': frames.columns['row'],
  }
  return write_rows(path, rows | {'data': source.fingerprints()} | changes)


def write_rows(path, rows):
  """Writes a pseudo-label of every kind for each row, or those of `rows`."""
  count = len(rows['row'])
  fields = {
      'expression': np.full((count, 8), 1 / 8),
      'target_valence': np.full(count, 0.25),
      'target_arousal': np.full(count, -0.75),
      'target_expression': np.full(count, 5),
      'target_au': np.ones((count, 12), np.int8),
      'va': np.ones(count, bool),
      'expr': np.ones(count, bool),
      'au_mask': np.ones((count, 12), bool),
  }
  prediction_files.write(path, predictions.Predictions(**fields | rows))
  return {'pseudo_labels': str(path)}


@pytest.fixture(name='file', scope='module')
def _file(feature_dir, tmp_path_factory):
  path = tmp_path_factory.mktemp('pseudo') / 'a.npz'
  return write(path, make_source(feature_dir))


def test_only_missing_labels_are_filled(feature_dir, file, capsys):
  before = make_source(feature_dir).videos.table.columns
  after = make_source(feature_dir, **file).videos.table.columns
  wanted = {'valence': 0.25, 'arousal': -0.75, 'expression': 5, 'au': 1}
  for name, mask in labels.MASKS.items():
    known = before[mask]
    assert 0 < known.sum() < known.size
    np.testing.assert_array_equal(after[name][known], before[name][known])
    np.testing.assert_array_equal(after[name][~known], wanted[name])
    assert after[mask].all()
    np.testing.assert_array_equal(after[labels.PSEUDO[mask]], ~known)
  numbers = ', '.join(f'{m} {(~before[m]).sum():,}' for m in MASKS)
  assert f'labels added to train: {numbers}' in capsys.readouterr().out


def test_both_kinds_of_batches_know_the_new_labels(feature_dir, file):
  windows = make_source(feature_dir, **file)
  gathered = windows.batch([0, 1], rows=2)
  for name in labels.PSEUDO.values():
    one = windows[0][name]
    np.testing.assert_array_equal(gathered[name][0, : len(one)], one)
  assert (
      make_source(feature_dir, 'validation', **file).batch([0], rows=1).keys()
      == make_source(feature_dir, 'validation').batch([0], rows=1).keys()
  )


def test_labels_of_scored_rows_are_refused(feature_dir, file, tmp_path):
  scored = write(tmp_path / 'b.npz', make_source(feature_dir, 'validation'))
  with pytest.raises(errors.InputError, match='rows that score a run cannot'):
    make_source(feature_dir, **scored)
  with pytest.raises(errors.InputError, match='without the held-out fold'):
    make_source(feature_dir, num_folds=2, **file)


def test_wrong_files_are_one_line(feature_dir, tmp_path):
  source, path = make_source(feature_dir), tmp_path / 'c.npz'
  count = len(source.videos.table.video_id)
  none = dict.fromkeys(('va', 'expr'), np.zeros(count, bool))
  none['au_mask'] = np.zeros((count, 12), bool)
  for changes, message in (
      (none, r'c\.npz: adds no label'),
      (
          {
              'data': {
                  next(iter(source.fingerprints())): {
                      'options': {'size': 1},
                      'splits': {},
                  }
              }
          },
          'made from other data',
      ),
  ):
    file = write(path, source, **changes)
    with pytest.raises(errors.InputError, match=message):
      make_source(feature_dir, **file)
  with pytest.raises(errors.InputError, match='there is no such file'):
    make_source(feature_dir, pseudo_labels='none.npz')
  path.write_text('x')
  with pytest.raises(errors.InputError, match='is no file of abaw-jax pseudo'):
    make_source(feature_dir, **file)


class PartlyLabelled(protocol.Wrapper):
  """Images of which the mask i of three is False in rows with row % 4 == i."""

  def with_fields(self, *fields):
    return PartlyLabelled(self._source.with_fields(*{'row', *fields}))

  def __getitem__(self, index):
    record = self._source[index]
    without = {
        mask: record[mask] & (record['row'] % 4 != i)
        for i, mask in enumerate(MASKS)
        if mask in record
    }
    return record | without

  def __iter__(self):
    return (self[index] for index in range(len(self)))


@pytest.fixture(name='images', scope='module')
def _images(data_dir):
  """Returns the training records of the frame model; row 0 has no labels."""
  return records_lib.Records(data_dir, 's_aff_wild2', 'frames', 'train')


@pytest.fixture(name='frames', scope='module')
def _frames(data_dir, images, tmp_path_factory):
  """Returns the config of a frame model, with labels of rows with row % 5 != 1."""
  path = tmp_path_factory.mktemp('frames') / 'a.npz'
  names = images.names({})
  row = np.array([record['row'] for record in images.with_fields('row')])
  rows = {'video': names['video'], 'frame_id': names['frame_id'], 'row': row}
  rows = {name: values[row % 5 != 1] for name, values in rows.items()}
  write_rows(path, rows | {'data': images.fingerprints()})
  return runs.smoke('frame', data_dir, data__pseudo_labels=str(path))


def test_only_missing_labels_of_images_are_filled(frames, images):
  partly = PartlyLabelled(images)
  path = pathlib.Path(frames['data']['pseudo_labels'])
  source = pseudo_labels.Labelled(partly, path)
  wanted = {'valence': 0.25, 'arousal': -0.75, 'expression': 5, 'au': 1}
  names = images.names({})
  keys = [*zip(names['video'], names['frame_id'], strict=True)]
  lines = {}
  for key, record in zip(keys, partly, strict=True):
    lines.setdefault(key, []).append(record)
  assert len(lines) < len(keys)  # a frame is listed twice
  for key, before, after in zip(keys, partly, source, strict=True):
    filled = any(line['row'] % 5 != 1 for line in lines[key])
    assert after['image'] == before['image']
    for name, mask in labels.MASKS.items():
      known = np.any([line[mask] for line in lines[key]], axis=0)
      new = ~known & filled
      np.testing.assert_array_equal(after[labels.PSEUDO[mask]], new)
      np.testing.assert_array_equal(after[mask], before[mask] | new)
      np.testing.assert_array_equal(
          after[name], np.where(new, wanted[name], before[name])
      )
  counts = label_counts.LabelCounts.of(source.with_fields(*label_counts.FIELDS))
  assert counts.va == sum(bool(record['va']) for record in source)


def test_frame_models_draw_images_without_any_label(frames, images):
  data = frames['data'] | {'class_balance': 'expression'}
  task = registry.make_task(frames | {'data': data})
  source = task.source('train')
  examples = source.for_training(0)
  drawn = [examples[i] for i in range(len(source))]
  batch = task.transform(train=True)(drawn, rows=len(drawn) + 1)
  unlabelled = batch['row'] == 0
  unlabelled[-1] = False  # padding
  assert unlabelled.any()
  for mask, name in labels.PSEUDO.items():
    # All other rows have true labels.
    found = batch[name].reshape(len(unlabelled), -1)
    np.testing.assert_array_equal(found.all(axis=1), unlabelled)
    np.testing.assert_array_equal(found.any(axis=1), unlabelled)
    assert batch[mask][unlabelled].all()


def test_frame_models_refuse_labels_of_other_images(frames):
  for changes, message in (
      ({'video_share': 0.5}, 'is no frame of this training'),
      ({'name': 's_aff_wild2,s_aff_wild2/more'}, 'name one dataset'),
  ):
    config = frames | {'data': frames['data'] | changes}
    with pytest.raises(errors.InputError, match=message):
      registry.make_task(config).source('train')


def test_a_run_resumes_with_the_same_file_only(frames, images, tmp_path):
  path = tmp_path / 'changing.npz'
  old = pathlib.Path(frames['data']['pseudo_labels']).read_bytes()
  path.write_bytes(old)
  data = frames['data'] | {'pseudo_labels': str(path)}
  config, workdir = frames | {'data': data}, tmp_path / 'run'
  stored.claim(workdir, stored.absolute(config), images.fingerprints())
  assert not stored.check(workdir, stored.absolute(config))
  first = prediction_files.read(path)
  prediction_files.write(path, first.take(first.row > 1))
  with pytest.raises(
      errors.InputError, match=r'changing\.npz: is not the file'
  ):
    loop.train(config, workdir)
  # Predictions read true labels only, so they do not need the file.
  path.unlink()
  found = registry.make_task(evaluation.read_config(workdir)).source('train')
  assert not set(labels.PSEUDO.values()) & found[0].keys()
