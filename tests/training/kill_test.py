"""A run resumes from its newest complete checkpoint, however it died."""

import json
import signal

import jax
import numpy as np
import pytest

from tests.checkpoints import deaths
from tests.training import runs

# Way to die: (signal to the process, exit status, newest saved step).
SIGKILL, SIGTERM = signal.SIGKILL, signal.SIGTERM
LAST = deaths.FATAL - deaths.EVERY
WAYS = {
    'before any file': (SIGKILL, -SIGKILL, LAST),
    'when arrays are written': (SIGKILL, -SIGKILL, LAST),
    'before the last rename': (SIGKILL, -SIGKILL, LAST),
    'while an old one is removed': (SIGKILL, -SIGKILL, deaths.FATAL),
    'killed': (SIGKILL, -SIGKILL, deaths.FATAL),
    'SIGTERM': (SIGTERM, 0, deaths.FATAL + 3),
    'SIGHUP': (signal.SIGHUP, 0, deaths.FATAL + 3),
    'full disk': (None, 2, LAST),
}
# Worker processes that read data; 0 for the others, which use threads.
WORKERS = {'killed': 2, 'SIGTERM': 2}
IDS = 1000


@pytest.fixture(scope='module')
def died(tmp_path_factory):
  """Returns (workdir, (status, stdout, stderr)) by way to die."""
  root = tmp_path_factory.mktemp('died')
  folders = {way: root / str(number) for number, way in enumerate(WAYS)}
  jobs = [
      (way, str(folders[way]), WORKERS.get(way, 0), number)
      for way, (number, _, _) in WAYS.items()
  ]
  status, out, error = runs.finish(
      runs.start('tests.checkpoints.deaths', json.dumps(jobs), **runs.KILLED)
  )
  assert status == 0, error
  results = dict(zip(WAYS, json.loads(out), strict=True))
  return {way: (folders[way], results[way]) for way in WAYS}


@pytest.fixture(scope='module')
def uninterrupted():
  """Returns (example ids of an uninterrupted training, its state by step)."""
  state, _, step = deaths.make()
  iterator = deaths.batches(0)
  last = max(newest for _, _, newest in WAYS.values())
  states = {}
  for done in range(1, last + 1):
    state, _ = step(state, next(iterator))
    states[done] = jax.tree.map(np.array, state)
  iterator.close()
  iterator = deaths.batches(0)
  ids = deaths.ids(iterator, last * deaths.BATCH + IDS)
  iterator.close()
  return ids, states


@pytest.mark.parametrize('way', WAYS)
def test_it_resumes_from_the_newest_complete_checkpoint(
    died, uninterrupted, way
):
  workdir, (status, out, error) = died[way]
  number, expected, newest = WAYS[way]
  assert status == expected, error
  assert number is None or out.startswith('hanging\n')
  ids, states = uninterrupted
  _, shapes, _ = deaths.make()
  checkpoints = deaths.open_checkpoints(workdir)
  iterator = deaths.batches(WORKERS.get(way, 0))
  state = checkpoints.restore(shapes, iterator)
  jax.tree.map(np.testing.assert_array_equal, state, states[newest])
  start = newest * deaths.BATCH
  assert deaths.ids(iterator, IDS) == ids[start : start + IDS]
  iterator.close()
  checkpoints.close()


def test_a_run_that_died_during_a_save_can_save_that_step_again(died):
  for way in ('before the last rename', 'full disk'):
    workdir, _ = died[way]
    _, shapes, step = deaths.make()
    checkpoints = deaths.open_checkpoints(workdir)
    iterator = deaths.batches(0)
    state = checkpoints.restore(shapes, iterator)
    while int(state.step) < deaths.FATAL:
      state, _ = step(state, next(iterator))
    expected = jax.tree.map(np.array, state)
    checkpoints.save(state, iterator, {}, None)
    checkpoints.close()
    checkpoints = deaths.open_checkpoints(workdir)
    again = checkpoints.restore(shapes, iterator)
    jax.tree.map(np.testing.assert_array_equal, again, expected)
    iterator.close()
    checkpoints.close()
    # The failed save left no files.
    assert not list(checkpoints.directory.glob('*tmp*'))


def test_a_full_disk_is_one_line_of_error(died):
  workdir, (_, _, error) = died['full disk']
  # Orbax threads may print their own report of the same error.
  (line,) = [x for x in error.splitlines() if x.startswith('error: ')]
  folder = workdir.resolve() / 'checkpoints'
  assert line.startswith(
      f'error: {folder}: cannot write a checkpoint of about 0.0 MB ('
  )
  assert 'File too large; ' in line
  assert line.endswith(
      f'then run the same command again to continue from step {LAST}'
  )
