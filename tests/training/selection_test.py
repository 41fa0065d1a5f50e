"""A run with carried state, normalised features and best weights per task."""

import json

import numpy as np
import pytest

from abaw_jax.checkpoints import parameters, task_bests
from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.inference import evaluation
from abaw_jax.scoring import metrics
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs, registry
from abaw_jax.training import loop
from tests.training import runs


@pytest.fixture(scope='module')
def config(feature_dir) -> dict:
  return runs.smoke(
      'mtl',
      feature_dir,
      epochs=6.0,
      eval_epochs=2.0,
      save_steps=0,
      data__batching='stateful_videos',
      data__norm='train',
      data__window=8,
      data__batch_size=2,
      model__encoder='gru',
      model__depth=1,
      model__dim=6,
      model__hidden_dims=(4,),
      loss__weighting='dwa',
      optim__schedule='linear',
      optim__hold_epochs=3.0,
      log_steps=1,
  )


@pytest.fixture(scope='module')
def run(config, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('selection')
  loop.train(config, workdir)
  return workdir


def weights(config, workdir):
  """Returns the weights of the best checkpoint."""
  task = registry.make_task(config)
  example = inputs.example(task, task.source('train'))
  shapes = steps.param_shapes(task, example, sharding.make_mesh(fsdp=1))
  return parameters.load(workdir, shapes)[0]


def check_statistics(config, workdir):
  videos = registry.make_task(config).source('train').videos
  features = [
      videos.frames(video, 0, 1000)['features']
      for video in range(len(videos.names))
  ]
  features = np.concatenate(features)
  norm = weights(config, workdir)['batch_stats']['feature_norm']
  np.testing.assert_allclose(norm['mean'], features.mean(axis=0), atol=1e-6)
  np.testing.assert_allclose(norm['std'], features.std(axis=0), rtol=1e-5)


def test_the_learning_rate_changes_only_between_epochs(config, run):
  lines = runs.metrics(run)
  ends = inputs.epoch_ends(config, registry.make_task(config).source('train'))
  assert len(lines) == ends[-1]
  factors = [1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
  for step, line in lines.items():
    epoch = np.searchsorted(ends, step - 1, side='right')
    np.testing.assert_allclose(
        line['lr'], factors[epoch] * config['optim']['lr'], rtol=1e-6
    )


def test_the_checkpoint_has_the_statistics_of_the_training_features(
    config, run
):
  check_statistics(config, run)


def test_loss_weighting_is_updated_every_epoch(config, run):
  held = weights(config, run)['batch_stats']['loss_weighting']
  assert held['epoch'] >= 1
  assert all(values['last'] > 0 for values in held['tasks'].values())


def test_each_task_is_scored_with_its_best_weights(run):
  lines = runs.metrics(run, 'validation')
  bests = task_bests.read(run)
  for task, key in metrics.PART_SCORES.items():
    best = max(line[key] for line in lines.values())
    assert bests[task].score == best
    assert lines[bests[task].step][key] == best
  scores = evaluation.evaluate(run, 'validation', weights_of='tasks')
  for task, key in metrics.PART_SCORES.items():
    np.testing.assert_allclose(scores[key], bests[task].score, atol=1e-6)
  best_va = (bests['valence'].score + bests['arousal'].score) / 2
  together = best_va + bests['expression'].score + bests['au'].score
  np.testing.assert_allclose(scores['P_MTL'], together, atol=1e-6)
  path = run / 'predictions' / 'validation_tasks.json'
  assert json.loads(path.read_text())['P_MTL'] == scores['P_MTL']
  alone = evaluation.evaluate(run, 'validation', weights_of='au')
  np.testing.assert_allclose(alone['AU'], bests['au'].score, atol=1e-6)


def test_the_best_checkpoint_has_the_same_score_as_in_training(run):
  scores = evaluation.evaluate(run, 'validation')
  best = max(line['score'] for line in runs.metrics(run, 'validation').values())
  np.testing.assert_allclose(scores['score'], best, atol=1e-6)


def test_both_scores_are_printed(config, tmp_path, capsys):
  loop.train(config | {'epochs': 1.0, 'eval_epochs': 0.0}, tmp_path)
  out = capsys.readouterr().out
  assert 'best of one network: score ' in out
  assert 'best of each part: valence ' in out
  assert 'with 1 network\n' in out


def test_an_unknown_choice_is_refused_with_the_list_of_choices(run):
  with pytest.raises(errors.InputError, match='score, tasks, valence'):
    evaluation.evaluate(run, 'validation', weights_of='mean')


def test_features_are_normalised_by_the_training_data_with_init_from_too(
    config, tmp_path
):
  plain = config | {'epochs': 1.0, 'data': config['data'] | {'norm': 'none'}}
  loop.train(plain, tmp_path / 'plain')
  started = config | {'epochs': 1.0, 'init_from': str(tmp_path / 'plain')}
  loop.train(started, tmp_path / 'started')
  check_statistics(config, tmp_path / 'started')


@pytest.mark.parametrize('name', ['mae', 'identity'])
def test_a_task_without_parts_keeps_no_best_weights_of_parts(name, tmp_path):
  config = runs.smoke(name, tmp_path, keep_task_bests=True)
  with pytest.raises(errors.InputError, match=r'config\.keep_task_bests=True'):
    loop.train(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
