"""Pseudo-labels fill missing labels of training frames, and nothing else."""

import numpy as np
import pytest

from abaw_jax.core import errors, labels
from abaw_jax.scoring import prediction_files, predictions
from abaw_jax.sequences import sources
from abaw_jax.sequences import table as table_lib
from tests.training import runs

MASKS = tuple(table_lib.LABELS)


def make_source(feature_dir, split='train', **changes):
  data = runs.smoke('mtl', feature_dir)['data'] | changes
  return sources.make_source(data, split)


def write(path, source, **changes):
  """Writes a pseudo-label of every kind for each frame of a source."""
  frames = source.videos.table
  count = len(frames.video_id)
  fields = {
      'video': np.array(frames.videos)[frames.video_id],
      'frame_id': frames.columns['frame_id'],
      'row': frames.columns['row'],
      'expression': np.full((count, 8), 1 / 8),
      'target_valence': np.full(count, 0.25),
      'target_arousal': np.full(count, -0.75),
      'target_expression': np.full(count, 5),
      'target_au': np.ones((count, 12), np.int8),
      'va': np.ones(count, bool),
      'expr': np.ones(count, bool),
      'au_mask': np.ones((count, 12), bool),
      'data': source.fingerprints(),
  }
  prediction_files.write(path, predictions.Predictions(**fields | changes))
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
