"""Hidden states of a run: its last layers give its predictions, frame by frame."""

import shutil

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import sources
from abaw_jax.inference import evaluation, hidden_states
from abaw_jax.scoring import prediction_files
from abaw_jax.sequences import sources as sequence_sources
from tests.bundles import made
from tests.training import runs

HIDDEN = 64  # width of each head in the smoke config


@pytest.fixture(name='run', scope='module')
def _run(root, tmp_path_factory):
  """Returns a copy of the run `mtl` with its hidden states."""
  workdir = tmp_path_factory.mktemp('hidden') / 'mtl'
  shutil.copytree(root / 'mtl', workdir)
  with pytest.raises(errors.InputError, match=f'write them with .*={workdir}`'):
    data(root, workdir)
  assert hidden_states.is_temporal(workdir)
  hidden_states.extract(workdir)
  return workdir


def data(root, *features, **changes):
  config = runs.smoke('mtl', root)['data']
  config |= {'features': ','.join(map(str, features)), **changes}
  return sequence_sources.make_source(config, made.SPLIT)


def test_the_last_layers_give_the_predictions(root, run):
  records = sources.Records(
      run / 'features', 's_aff_wild2_features', 'hidden', made.SPLIT
  )
  rows = {
      (record['video'].decode(), int(row)): features
      for record in records
      for row, features in zip(record['row'], record['features'], strict=True)
  }
  path = evaluation.file(root / 'mtl', made.SPLIT)
  want = prediction_files.read(path)
  hidden = np.stack(
      [rows[key] for key in zip(want.video, want.row.tolist(), strict=True)]
  )
  assert len(rows) == len(hidden)
  # A linear layer maps the hidden state of a task to its output.
  for i, name in enumerate(('valence', 'arousal')):
    part = hidden[:, i * HIDDEN : (i + 1) * HIDDEN]
    inputs = np.column_stack([part, np.ones(len(part))])
    output = getattr(want, name)
    solved = np.linalg.lstsq(inputs, output, rcond=None)[0]
    np.testing.assert_allclose(inputs @ solved, output, atol=1e-4)


def test_they_are_features_of_another_run(root, run):
  small, joined = data(root, 'small'), data(root, 'small', run)
  assert joined.videos.dim == small.videos.dim + 4 * HIDDEN
  one, both = (source.videos.frames(0, 0, 9) for source in (small, joined))
  dim = small.videos.dim
  np.testing.assert_array_equal(both['features'][:, :dim], one['features'])
  np.testing.assert_array_equal(both['frame_id'], one['frame_id'])
  # Each run has a fingerprint of its own, which a resumed run can find.
  (name,) = joined.fingerprints().keys() - small.fingerprints().keys()
  assert name == f'{run}/features/s_aff_wild2_features/hidden'
  assert sources.fingerprint(root, name) == joined.fingerprints()[name]
  with pytest.raises(errors.InputError, match='has no hidden states of other'):
    data(root, run, name='other')
