"""NaN and Inf in training data: skipped and counted updates, then a stop."""

import copy
import pathlib
import shutil

import jax
import numpy as np
import pytest

from abaw_jax.core import config_ranges, errors
from abaw_jax.sequences import windows
from abaw_jax.tasks import inputs, registry, temporal
from abaw_jax.training import loop
from tests.steps import meshes
from tests.training import runs

STEPS = 8
BATCH = 4
MAX_BAD = 3


class PoisonedWindows(windows.Windows):
  """Windows of which one overflows in the model, or all if `only` is None."""

  only: int | None = None

  def __getitem__(self, index):
    record = super().__getitem__(index)
    if self.only in (None, index):
      record = record | {'features': np.full_like(record['features'], 3e38)}
    return record

  def batch(self, indices, *, rows):
    return None  # windows are read one by one


def poison(monkeypatch, only: int | None) -> None:
  """Poisons the training windows of sources that are made after this call."""
  make = temporal.TemporalTask.source

  def source(task, split):
    clean = make(task, split)
    if split == 'train':
      clean.__class__ = type('P', (PoisonedWindows,), {'only': only})
    return clean

  monkeypatch.setattr(temporal.TemporalTask, 'source', source)


@pytest.fixture(scope='module')
def config(feature_dir) -> dict:
  """Returns a config with 2 * STEPS updates."""
  config = runs.smoke(
      'mtl',
      feature_dir,
      data__window=8,
      data__stride=4,
      data__batch_size=BATCH,
      eval_epochs=0.0,
      log_steps=1,
      save_steps=4,
      max_bad_steps=MAX_BAD,
  )
  config['model'] |= {'depth': 1, 'hidden_dims': (8,)}
  return with_steps(config, 2 * STEPS)


def with_steps(config, count: int) -> dict:
  """Returns the config with `count` updates."""
  rows = len(registry.make_task(config).source('train'))
  return config | {'epochs': count * BATCH / rows}


@pytest.fixture(scope='module')
def begun(config, tmp_path_factory) -> pathlib.Path:
  """Returns the workdir of a run that was killed after STEPS clean updates."""
  workdir = tmp_path_factory.mktemp('begun') / 'run'
  loop.train(with_steps(config, STEPS), workdir)
  (workdir / 'DONE').unlink()
  return workdir


def poisoned_batch(batch, what: str, value: float):
  """Returns a batch with one value that is not finite."""
  bad = copy.deepcopy(dict(batch))
  where = tuple(np.argwhere(bad['va'] & bad['frame_mask'])[0])
  bad[what][where] = value
  return bad


@pytest.fixture(scope='module')
def training(config):
  """Returns a training on one device."""
  training = meshes.Training(config, devices=1, fsdp=1)
  yield training
  training.batches.close()


@pytest.mark.parametrize(
    ('what', 'value'),
    [('features', np.nan), ('features', -np.inf), ('valence', np.nan),
     ('valence', np.inf), ('loss weight', np.inf)],
)  # fmt: skip
def test_a_poisoned_update_changes_only_the_counters(
    config, training, what, value, monkeypatch
):
  if what == 'loss weight':
    # The check of ranges refuses it in a config.
    monkeypatch.setattr(config_ranges, 'check', lambda *args: None)
    bad = copy.deepcopy(config)
    bad['loss']['weights']['valence'] = value
    training = meshes.Training(bad, devices=1, fsdp=1)
  training.start()
  batch = next(training.batches)
  if what != 'loss weight':
    batch = poisoned_batch(batch, what, value)
  before = jax.tree.map(np.array, training.state)
  metrics = training.update(batch)
  after = training.state
  assert (int(metrics['skipped']), int(metrics['skipped_in_a_row'])) == (1, 1)
  # A skipped update still counts as a step: its batch and its randomness are
  # used. The moments and the learning rate do not count it.
  assert int(after.step) == int(before.step) + 1
  same = np.testing.assert_array_equal
  jax.tree.map(same, after.params, before.params)
  jax.tree.map(same, after.opt_state.inner_state, before.opt_state.inner_state)
  if what == 'loss weight':
    training.batches.close()


def test_a_few_bad_batches_are_skipped(config, monkeypatch, tmp_path):
  source = registry.make_task(config).source('train')
  window = registry.make_task(config).transform()([source[3]], rows=1)[
      'features'
  ][0]
  batches = inputs.train_batches(registry.make_task(config), source)
  bad = [
      any((window == features).all() for features in next(batches)['features'])
      for _ in range(2 * STEPS)
  ]
  batches.close()
  assert 0 < sum(bad) < len(bad)
  poison(monkeypatch, only=3)
  loop.train(config | {'max_bad_steps': 2 * STEPS}, tmp_path / 'run')
  lines = runs.metrics(tmp_path / 'run').values()
  np.testing.assert_array_equal(
      [line['skipped'] for line in lines], np.cumsum(bad)
  )
  assert [line['loss'] is None for line in lines] == bad
  for part in meshes.restored(config, tmp_path / 'run'):
    assert np.isfinite(part).all()


def test_a_run_resumes_after_its_data_are_repaired(
    config, begun, monkeypatch, tmp_path
):
  clean, repaired = tmp_path / 'clean', tmp_path / 'repaired'
  shutil.copytree(begun, clean)
  shutil.copytree(begun, repaired)
  loop.train(config, clean)
  with monkeypatch.context() as patch:
    poison(patch, only=None)
    for _ in range(2):  # the same command fails again in the same way
      with pytest.raises(errors.InputError) as error:
        loop.train(config, repaired)
      newest = repaired.resolve() / 'checkpoints' / str(STEPS)
      assert str(error.value).startswith(
          f'step {STEPS + MAX_BAD}: {MAX_BAD} updates in a row had gradients '
          'with NaN or Inf and were skipped'
      )
      assert f'newest good checkpoint: {newest}; ' in str(error.value)
      assert not (repaired / 'DONE').exists()
  loop.train(config, repaired)
  jax.tree.map(
      np.testing.assert_array_equal,
      meshes.restored(config, repaired),
      meshes.restored(config, clean),
  )
  for split in ('train', 'validation'):
    ours, expected = runs.metrics(repaired, split), runs.metrics(clean, split)
    assert list(ours) == list(expected)
    for step, line in expected.items():
      for name in line.keys() - runs.TIMED:
        assert ours[step][name] == line[name], (step, name)


def test_diverged_weights_are_not_saved(config, tmp_path):
  # Each gradient is finite, but the updated weights are not.
  config = copy.deepcopy(config)
  config['optim'] |= {'lr': 1e30, 'weight_decay': 1e10}
  with pytest.raises(errors.InputError, match='NaN or Inf in params/') as error:
    loop.train(config | {'max_bad_steps': 1000}, tmp_path / 'run')
  assert 'newest good checkpoint: none; lower config.optim.lr' in str(
      error.value
  )
  assert not list((tmp_path / 'run' / 'checkpoints').iterdir())
