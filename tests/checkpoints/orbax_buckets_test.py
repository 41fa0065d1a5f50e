"""Checkpoints in a bucket are complete, or they are not used."""

import gc

import jax
import numpy as np
import pytest

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.checkpoints import orbax_buckets
from abaw_jax.core import files
from tests.checkpoints import checkpoints_test

pytestmark = [
    pytest.mark.filterwarnings('ignore:coroutine .* was never awaited'),
    pytest.mark.filterwarnings(
        'ignore::pytest.PytestUnraisableExceptionWarning'
    ),
]


@pytest.fixture(autouse=True)
def _collected():
  yield
  gc.collect()


def opened(workdir) -> checkpoint.Checkpoints:
  return checkpoint.Checkpoints(workdir, score='loss', best='min')


def restored(workdir) -> int:
  """Returns the step of the restored state, after a look at its values."""
  checkpoints = opened(workdir)
  position = checkpoints_test.iterator()
  state = checkpoints.restore(checkpoints_test.shapes(), position)
  checkpoints.close()
  step = int(state.step)
  expected = checkpoints_test.state(step)
  jax.tree.map(np.testing.assert_array_equal, state, expected)
  return step


def test_an_incomplete_checkpoint_is_removed_and_a_damaged_one_renamed(
    gs_bucket, capsys
):
  workdir = files.path(f'{gs_bucket}/run')
  checkpoints = opened(workdir)
  for step in (1, 2, 3, 4):
    position = checkpoints_test.iterator()
    checkpoints.save(checkpoints_test.state(step), position, {}, {'loss': step})
  checkpoints.close()
  folder = workdir / 'checkpoints'
  names = sorted(path.name for path in folder.iterdir())
  assert names == ['1', '3', '4']  # the best one and the newest two
  assert restored(workdir) == 4

  # Like a process that was killed before the last object.
  (folder / '4' / 'commit_success.txt').unlink()
  assert restored(workdir) == 3
  assert not (folder / '4').exists()

  files.remove(folder / '3' / 'params')
  assert restored(workdir) == 1
  assert (folder / '3.unreadable' / 'optimizer').is_dir()
  assert f'renamed to {folder}/3.unreadable, continuing' in (
      capsys.readouterr().out
  )


def test_rights_on_objects_are_enough(gs_bucket, monkeypatch):
  class Forbidden(Exception):
    """As in google.api_core."""

  def refuse(_):
    raise Forbidden

  folder = orbax_buckets.folder(files.path(f'{gs_bucket}/rights'), 'x')
  files.write(folder / 'a', '')
  monkeypatch.setattr(orbax_buckets.gcs_utils, 'get_bucket', refuse)
  orbax_buckets.gcs_utils.rmtree(folder)
  assert not folder.exists()


def test_the_arrays_of_s3_go_to_the_named_server(s3_bucket, monkeypatch):
  spec = orbax_buckets._s3_kvstore('s3://bucket/run/1')
  assert spec.pop('endpoint').startswith('http://127.0.0.1:')
  assert spec == {
      'driver': 's3',
      'bucket': 'bucket',
      'path': 'run/1',
      'aws_credentials': {'type': 'environment'},
      'aws_region': 'us-east-1',
  }
  monkeypatch.delenv('AWS_ENDPOINT_URL')
  assert 'endpoint' not in orbax_buckets._s3_kvstore('s3://bucket/run/1')
