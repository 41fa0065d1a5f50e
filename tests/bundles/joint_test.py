"""A bundle of a joint model computes the hidden states that the run read from disk."""

import json
import shutil

import numpy as np
import pytest

from abaw_jax.bundles import bundle, writing
from abaw_jax.core import errors
from abaw_jax.data import sources
from abaw_jax.inference import evaluation, hidden_states
from abaw_jax.scoring import prediction_files
from abaw_jax.training import loop
from tests.bundles import made
from tests.training import runs

FIELDS = ('valence', 'arousal', 'expression', 'au')
TASKS = {'va': 'valence,arousal', 'au': 'au'}


def change(run, section, **values):
  """Changes the config of a run."""
  path = run / 'config.json'
  config = json.loads(path.read_text())
  config[section] |= values
  path.write_text(json.dumps(config))


@pytest.fixture(name='joint', scope='module')
def _joint(root, tmp_path_factory):
  """Returns a run on features and the hidden states of two runs, all with a carry."""
  folder = tmp_path_factory.mktemp('joint')
  for name, tasks in TASKS.items():
    shutil.copytree(root / 'mtl_gru', folder / name)
    change(folder / name, 'model', tasks=tasks)
    hidden_states.extract(folder / name)
  config = runs.smoke(
      'mtl_gru',
      root,
      epochs=0.5,
      data__batch_size=2,
      data__window=made.WINDOW,
      data__features=','.join(['small', *(f'{folder}/{x}' for x in TASKS)]),
  )
  loop.train(config, folder / 'run')
  evaluation.evaluate(folder / 'run', made.SPLIT)
  return folder / 'run'


@pytest.fixture(name='features', scope='module')
def _features(root):
  """Returns the features of each video, by frame number."""
  found = {}
  for record in sources.Records(
      root, 's_aff_wild2_features', 'small', made.SPLIT
  ):
    frames = zip(record['frame_id'], record['features'], strict=True)
    found.setdefault(record['video'].decode(), {}).update(frames)
  return found


def test_rows_are_those_of_evaluate(root, joint, features, tmp_path):
  writing.write_bundle(tmp_path / 'b', frame=root / 'frame', temporal=[joint])
  predictor = bundle.load(tmp_path / 'b')
  want = prediction_files.read(evaluation.file(joint, made.SPLIT))
  for video, frames in features.items():
    numbers = np.array(sorted(frames))
    x = np.stack([frames[i] for i in numbers])
    track = predictor.track()
    parts = [
        track.push(x[i : i + 7], numbers[i : i + 7], numbers[i : i + 7] / 30)
        for i in range(0, len(x), 7)
    ]
    parts.append(track.finish())
    rows = want.take(want.video == video)
    rows = rows.take(np.unique(rows.frame_id, return_index=True)[1])
    for field in FIELDS:
      found = np.concatenate([getattr(part, field) for part in parts])
      np.testing.assert_allclose(found, getattr(rows, field), atol=2e-5)
  config = json.loads((tmp_path / 'b' / 'config.json').read_text())
  assert [x['run'] for x in config['provenance']['temporal'][0]['below']] == [
      *TASKS
  ]
  assert str(joint.parent) not in json.dumps(config)


def test_other_runs_below_are_one_line(root, joint, tmp_path):
  def fails(text):
    with pytest.raises(errors.InputError, match=text):
      writing.write_bundle(
          tmp_path / 'b', frame=root / 'frame', temporal=[joint]
      )

  below = joint.parent / 'au'
  config = (joint / 'config.json').read_text()
  change(joint, 'data', features=f'{below},small')
  fails('joins features of frames before hidden states')
  (joint / 'config.json').write_text(config)
  change(below, 'data', window=5)
  fails(r'hidden states of .*au, which has another config\.data\.window')
  change(below, 'data', window=made.WINDOW)
  (card,) = below.glob('features/*/hidden/*/card.json')
  card.write_text(json.dumps(json.loads(card.read_text()) | {'sha256': 'x'}))
  fails('hidden states of other weights than those of .*au;')
