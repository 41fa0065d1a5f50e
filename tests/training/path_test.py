"""All stages in one process: MAE, frame model, features, temporal model."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from abaw_jax.checkpoints import parameters
from abaw_jax.checkpoints import runs as run_files
from abaw_jax.core import errors, labels
from abaw_jax.data import sources
from abaw_jax.distributed import sharding
from abaw_jax.inference import evaluation, extraction
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs, registry
from abaw_jax.training import loop
from tests.core import locked
from tests.training import runs


@pytest.fixture(scope='module')
def path(data_dir, tmp_path_factory) -> pathlib.Path:
  """Returns a folder with the runs `mae`, `frame`, `mtl` and the data."""
  root = tmp_path_factory.mktemp('path')
  data = root / 'data'
  shutil.copytree(data_dir, data)
  loop.train(runs.smoke('mae', data, model__decoder_depth=1), root / 'mae')
  loop.train(
      runs.smoke('frame', data, init_from=str(root / 'mae')), root / 'frame'
  )
  extraction.extract(
      init_from=root / 'frame',
      data_dir=data,
      dataset='s_aff_wild2',
      name='small',
      batch_size=32,
  )
  loop.train(runs.smoke('mtl', data), root / 'mtl')
  return root


def load(path, run):
  """Returns (task, parameters, config) of the best checkpoint of a run."""
  config = run_files.read_config(path / run)
  task = registry.make_task(config)
  source = registry.make_task(config).source('validation')
  mesh = sharding.make_mesh(fsdp=1)
  shapes = steps.param_shapes(
      task, inputs.example(registry.make_task(config), source), mesh
  )
  return task, parameters.load(path / run, shapes)[0], config


@pytest.mark.parametrize('run', ['mae', 'frame', 'mtl'])
def test_every_stage_ends_with_a_score_and_a_checkpoint(path, run):
  done = json.loads((path / run / 'DONE').read_text())
  train = runs.metrics(path / run)
  validation = runs.metrics(path / run, 'validation')
  assert done['step'] == max(train) == max(validation)
  assert all(np.isfinite(line['loss']) for line in train.values())
  assert (path / run / 'checkpoints' / str(done['step'])).is_dir()
  score = 'loss' if run == 'mae' else 'P_MTL'
  assert validation[done['step']][score] == done[score]


def test_training_a_finished_run_returns_at_once(path, capsys):
  before = (path / 'mtl' / 'metrics.jsonl').read_text()
  loop.train(runs.smoke('mtl', path / 'data'), path / 'mtl')
  assert 'this run has ended' in capsys.readouterr().out
  assert (path / 'mtl' / 'metrics.jsonl').read_text() == before


def test_features_are_the_embeddings_of_the_best_frame_model(path):
  task, params, config = load(path, 'frame')
  for split in labels.SPLITS:
    features = sources.Records(
        path / 'data', 's_aff_wild2_features', 'small', split
    )
    stored = {
        row: vector
        for record in features
        for row, vector in zip(
            record['row'].tolist(), record['features'], strict=True
        )
    }
    frames = registry.make_task(config).source(split)
    assert sorted(stored) == list(range(len(frames)))
    batch = registry.make_task(config).transform()([frames[3]], rows=1)
    expected = jax.jit(task.predict)(params, batch)['embedding'][0]
    # Batches of different sizes are summed in a different order.
    np.testing.assert_allclose(
        stored[int(batch['row'][0])], expected, rtol=1e-4, atol=1e-5
    )


def test_the_card_of_features_names_the_data_and_the_weights(path):
  folder = path / 'data' / 's_aff_wild2_features' / 'small' / '1.0.0'
  card = json.loads((folder / 'card.json').read_text())
  name = 's_aff_wild2/sequences'
  assert card['data'] == {name: sources.fingerprint(path / 'data', name)}
  assert (card['run'], len(card['sha256'])) == ('frame', 64)


def test_a_second_extraction_changes_nothing(path):
  folder = path / 'data' / 's_aff_wild2_features' / 'small'
  before = sorted(folder.rglob('*'))
  with locked.by_another(folder / '1.0.0'):
    with pytest.raises(errors.InputError, match='is being filled by process'):
      extraction.extract(
          init_from=path / 'frame',
          data_dir=path / 'data',
          dataset='s_aff_wild2',
          name='small',
          batch_size=32,
          overwrite=True,
      )
    assert sorted(folder.rglob('*')) == sorted([*before, folder / '1.0.0.lock'])
  (folder / '1.0.0.lock').unlink()


@pytest.mark.parametrize('run', ['frame', 'mtl'])
@pytest.mark.parametrize('split', labels.SPLITS)
def test_predictions_have_every_row_of_the_list_once(path, run, split):
  scores = evaluation.evaluate(path / run, split)
  with np.load(path / run / 'predictions' / f'{split}.npz') as rows:
    rows = dict(rows)
  listed = {
      'train': 'source/training_set_annotations.txt',
      'validation': 'source/validation_set_annotations.txt',
      'test': 'source/test_set/MTL_Challenge_test_set_release.txt',
  }[split]
  images = (path / 'data' / listed).read_text().splitlines()[1:]
  images = [line.split(',')[0] for line in images]
  written = [
      (row, f'{video}/{frame:05d}.jpg')
      for row, video, frame in zip(
          rows['row'], rows['video'], rows['frame_id'], strict=True
      )
  ]
  assert sorted(written) == list(enumerate(images))
  np.testing.assert_allclose(rows['pred_expression'].sum(-1), 1, atol=1e-5)
  assert rows['pred_au'].shape == (len(images), labels.NUM_AUS)
  if split == 'test':
    assert np.isnan(scores['P_MTL'])
  else:
    assert scores['P_MTL'] == pytest.approx(
        scores['VA'] + scores['EXPR'] + scores['AU']
    )


def test_a_frame_model_starts_from_the_mae_encoder(path, tmp_path):
  # With a learning rate of 0, the initial weights stay.
  config = runs.smoke(
      'frame',
      path / 'data',
      init_from=str(path / 'mae'),
      optim__lr=0.0,
      epochs=0.1,
      optim__warmup_epochs=0.0,
  )
  loop.train(config, tmp_path / 'frame')
  _, mae_params, _ = load(path, 'mae')
  _, params, _ = load(tmp_path, 'frame')
  jax.tree.map(
      np.testing.assert_array_equal, params['backbone'], mae_params['encoder']
  )


def test_a_checkpoint_of_another_size_is_refused_with_parameter_paths(
    path, tmp_path
):
  config = runs.smoke(
      'frame',
      path / 'data',
      init_from=str(path / 'mae'),
      model__backbone='vit_micro',
  )
  with pytest.raises(errors.InputError) as error:
    loop.train(config, tmp_path / 'frame', given={'model.backbone'})
  message = str(error.value)
  assert 'missing backbone/blocks_2/attn/qkv/kernel;' in message
  assert 'attn/proj/bias is (64,), the model wants (192,)' in message
  assert len(message) < 2000


def test_a_workdir_of_another_model_is_refused(path):
  config = runs.smoke('mtl', path / 'data', model__dim=64)
  with pytest.raises(errors.InputError, match=r'model\.dim was 32, is 64'):
    loop.train(config, path / 'mtl')


def test_too_many_bad_updates_stop_the_run(path, tmp_path):
  config = runs.smoke(
      'mtl',
      path / 'data',
      # The weighted sum is beyond float32, so no gradient is finite.
      loss__weights=dict.fromkeys(
          ('valence', 'arousal', 'expression', 'au'), 3e38
      ),
      epochs=50.0,
      log_steps=5,
      max_bad_steps=10,
  )
  with pytest.raises(errors.InputError, match='step 10: 10 updates in a row'):
    loop.train(config, tmp_path / 'bad')
  lines = runs.metrics(tmp_path / 'bad')
  assert [line['skipped'] for line in lines.values()] == [5, 10]
