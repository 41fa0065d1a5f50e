"""A run whose workdir is in a bucket, killed and resumed, is like a local one."""

import signal
import time

import numpy as np
import pytest

from abaw_jax.checkpoints import runs as run_files
from abaw_jax.core import files
from abaw_jax.inference import evaluation
from abaw_jax.tasks import registry
from abaw_jax.training import loop
from tests.training import resume_test, runs

STEPS = 12
BATCH = 4

pytestmark = [
    # Orbax and fsspec leave coroutines and sessions to the garbage collector.
    pytest.mark.filterwarnings('ignore:coroutine .* was never awaited'),
    pytest.mark.filterwarnings(
        'ignore::pytest.PytestUnraisableExceptionWarning'
    ),
]


@pytest.fixture(scope='module')
def config(feature_dir) -> dict:
  """Returns the config of all runs in this file."""
  window = {'data__window': 8, 'data__stride': 4, 'data__batch_size': BATCH}
  config = runs.smoke('mtl', feature_dir, **window, save_steps=4, log_steps=1)
  source = registry.make_task(config).source('train')
  epochs = STEPS * BATCH / len(source)
  return config | {'epochs': epochs, 'eval_epochs': 0.0}


@pytest.fixture(scope='module')
def uninterrupted(config, tmp_path_factory):
  """Returns the workdir of an uninterrupted run on a disk."""
  workdir = tmp_path_factory.mktemp('uninterrupted')
  loop.train(config, workdir)
  evaluation.evaluate(workdir, 'validation')
  return workdir


def start(config, url: str):
  """Returns the train command as a process."""
  keys = (
      'epochs', 'eval_epochs', 'save_steps', 'log_steps', 'data.dir',
      'data.window', 'data.stride', 'data.batch_size',
  )  # fmt: skip
  flat = run_files.flatten(config)
  return runs.start(
      'abaw_jax.train',
      f'--config={runs.ROOT / "configs" / "mtl.py"}:smoke',
      f'--workdir={url}',
      '--config.data.name=s_aff_wild2',
      *(f'--config.{key}={flat[key]}' for key in keys),
      **runs.KILLED,
  )


def complete(workdir) -> int:
  """Returns the step of the newest complete checkpoint, 0 without any."""
  found = workdir.glob('checkpoints/*/commit_success.txt')
  return max((int(path.parent.name) for path in found), default=0)


def names(folder) -> set[str]:
  return {path.name for path in folder.iterdir()}


def test_a_killed_run_in_a_bucket_resumes_bit_for_bit(
    config, uninterrupted, bucket
):
  url = f'{bucket}/run'
  workdir = files.path(url)
  process = start(config, url)

  def is_saved() -> bool:
    time.sleep(0.1)  # the emulator needs the processor, too
    return complete(workdir) > 0

  resume_test.hit(process, signal.SIGKILL, is_saved)
  # The lines of a checkpoint are in the bucket before it.
  assert set(range(1, complete(workdir) + 1)) <= set(runs.metrics(workdir))
  assert 'DONE' not in names(workdir)

  loop.train(config, workdir)  # the lock of the killed process is free
  resume_test.assert_same_run(workdir, uninterrupted)
  assert list((workdir / 'tb').glob('events.out.tfevents.*'))

  scores = evaluation.evaluate(workdir, 'validation')
  path = uninterrupted / 'predictions' / 'validation.json'
  ours = workdir / 'predictions' / 'validation.json'
  assert ours.read_text() == path.read_text()
  assert scores
  with (
      files.local_copy(ours.with_suffix('.npz')) as copy,
      np.load(copy) as found,
      np.load(path.with_suffix('.npz')) as expected,
  ):
    for name in expected:
      np.testing.assert_array_equal(found[name], expected[name])
