"""Labels of the training split: which outputs and videos have some."""

import numpy as np
import pytest

from abaw_jax.checkpoints import runs as stored
from abaw_jax.core import errors, labels
from abaw_jax.data import sources
from abaw_jax.inference import evaluation
from abaw_jax.tasks import registry
from abaw_jax.training import loop
from tests.data import corpora
from tests.training import runs

UNLABELLED = 'no label in the training split'


def without(data_dir, root, **masks):
  """Writes features whose training rows have no labels under these masks.

  Args:
    data_dir: folder of a built corpus.
    root: folder to fill.
    **masks: True where a training label is removed, by field.
  """
  records = {}
  for split in labels.SPLITS:
    records[split] = [
        {**record, 'features': np.ones((len(record['row']), 4), np.float32)}
        for record in sources.Records(
            data_dir, 's_aff_wild2', 'sequences', split
        )
    ]
  for record in records['train']:
    for mask, removed in masks.items():
      record[mask] = record[mask] & ~np.array(removed)
  corpora.write_records(
      root, records, dataset='s_aff_wild2', name='small', dim=4, card={}
  )
  return root


def make_config(root, **overrides):
  return runs.smoke('mtl', root, model__encoder='none', **overrides)


def test_a_run_names_heads_without_training_labels(data_dir, tmp_path, capsys):
  root = without(data_dir, tmp_path / 'data', au_mask=True)
  config = make_config(root, epochs=0.1, eval_epochs=0.0)
  loop.train(config, tmp_path / 'run')
  out = capsys.readouterr().out
  assert f'not trained: au ({UNLABELLED}); scores that count' in out
  untrained = stored.read_untrained(tmp_path / 'run')
  assert untrained == {'au': UNLABELLED}
  scores = evaluation.evaluate(tmp_path / 'run', 'validation')
  assert scores['P_MTL'] > 0
  table = registry.make_task(config).table(scores, untrained)
  marked = {line.split()[0] for line in table if line.endswith('not trained')}
  assert marked == {f'F1_{name}' for name in labels.AU_NAMES}
  (tmp_path / 'run' / 'untrained.json').write_text('')
  with pytest.raises(errors.InputError, match=r'untrained\.json: is not JSON'):
    stored.read_untrained(tmp_path / 'run')


@pytest.mark.parametrize(
    ('masks', 'overrides', 'expected'),
    [
        ({}, {}, {}),
        (
            {'va': True},
            {},
            {'valence': UNLABELLED, 'arousal': UNLABELLED},
        ),
        (
            {'au_mask': np.arange(12) == 2, 'expr': True},
            {},
            {'expression': UNLABELLED, 'AU04': UNLABELLED},
        ),
        (
            {},
            {'loss__weights__au': 0.0},
            {'au': 'its loss has no weight'},
        ),
        (
            {'expr': True},
            {'model__tasks': 'valence,arousal,au', 'model__feedback': 'none'},
            {'expression': 'its loss has no weight'},
        ),
    ],
)
def test_untrained_outputs_have_a_reason(
    data_dir, tmp_path, masks, overrides, expected
):
  root = without(data_dir, tmp_path, **masks)
  task = registry.make_task(make_config(root, **overrides))
  assert task.untrained(task.source('train')) == expected


def test_images_are_read_until_every_label_occurs(data_dir):
  task = registry.make_task(runs.smoke('frame', data_dir))
  assert task.untrained(task.source('train')) == {}


@pytest.mark.parametrize('split', ['train', 'validation', 'test'])
def test_images_and_windows_have_the_same_labelled_videos(
    data_dir, feature_dir, split
):
  found = []
  for name, root in (('frame', data_dir), ('mtl', feature_dir)):
    task = registry.make_task(runs.smoke(name, root))
    found.append(task.labelled_videos(task.source(split)))
  assert found[0] == found[1]
  assert bool(found[0]) == (split != 'test')
