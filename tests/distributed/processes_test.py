"""Two processes on one machine train like one process."""

from collections.abc import Callable
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import jax
import numpy as np
import pytest

from abaw_jax.checkpoints import weights
from abaw_jax.core import errors, files, labels
from abaw_jax.data import sources
from abaw_jax.distributed import processes, sharding
from abaw_jax.scoring import prediction_files
from abaw_jax.tasks import inputs, registry
from tests.training import resume_test, runs

STEPS = 24
BATCH = 8
WINDOW = {'data__window': 8, 'data__stride': 4, 'data__batch_size': BATCH}


@pytest.fixture(scope='module')
def config(feature_dir) -> dict:
  """Returns the config of all runs in this file."""
  source = registry.make_task(runs.smoke('mtl', feature_dir, **WINDOW)).source(
      'train'
  )
  epochs = STEPS * BATCH / len(source)
  return runs.smoke(
      'mtl',
      feature_dir,
      **WINDOW,
      # With seed 0, the input of a ReLU at step 16 is 0 up to rounding, so its
      # gradient depends on the order of a sum.
      seed=1,
      data__read_threads=1,  # the order of reads is that of the batches
      epochs=epochs,
      eval_epochs=epochs / 2,
      log_steps=1,
      save_steps=4,
      # Only process 0 knows when this time is over. A save that the processes do
      # not share would never end.
      save_minutes=0.02,
  )


@pytest.fixture(scope='module')
def cache(tmp_path_factory) -> dict[str, str]:
  """Returns environment variables of a compilation cache for all runs here."""
  return {
      'JAX_COMPILATION_CACHE_DIR': str(tmp_path_factory.mktemp('cache')),
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
      'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1',
  }


@pytest.fixture(scope='module')
def backbone(data_dir, tmp_path_factory) -> pathlib.Path:
  """Returns a folder with the weights of an untrained MAE."""
  config = runs.smoke('mae', data_dir, model__decoder_depth=1)
  example = inputs.example(
      registry.make_task(config), registry.make_task(config).source('train')
  )
  init = jax.jit(registry.make_task(config).init)
  params = init(jax.random.key(0), example)
  flat = {
      sharding.path_name(path): np.asarray(leaf)
      for path, leaf in jax.tree_util.tree_leaves_with_path(params)
  }
  folder = tmp_path_factory.mktemp('weights') / 'mae'
  config = {key: config[key] for key in ('model', 'augment')}
  weights.write_folder(folder, flat, config, {})
  return folder


def free_port() -> int:
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


def cluster(count: int) -> list[dict]:
  """Returns the arguments of `processes.joined` for each of `count`."""
  if count == 1:
    return [{}]
  coordinator = f'127.0.0.1:{free_port()}'
  return [
      {'coordinator': coordinator, 'num_processes': count, 'process_id': i}
      for i in range(count)
  ]


@pytest.fixture(scope='module')
def start(config, feature_dir, cache) -> Callable[..., list[subprocess.Popen]]:
  """Returns a function that starts two processes of the train command."""

  def start_both(
      workdir: pathlib.PurePath,
      *more_of_last: str,
      notes: pathlib.Path | None = None,
  ) -> list[subprocess.Popen]:
    started = []
    for index, place in enumerate(cluster(2)):
      started.append(
          runs.start(
              'tests.training.witness',
              'train',
              f'--config={runs.ROOT / "configs" / "mtl.py"}:smoke',
              f'--workdir={workdir}',
              '--config.data.name=s_aff_wild2',
              *(f'--{key}={value}' for key, value in changed(config)),
              *(f'--{key}={value}' for key, value in place.items()),
              *(more_of_last if index else ()),
              JAX_NUM_CPU_DEVICES='2',
              WITNESS=str(witness(notes or workdir, index)),
              **cache,
          )
      )
    return started

  return start_both


def changed(config: dict) -> list[tuple[str, object]]:
  """Returns the flags that turn the smoke config into this one."""
  keys = ('dir', 'window', 'stride', 'batch_size', 'read_threads')
  flags = [(f'config.data.{key}', config['data'][key]) for key in keys]
  keys = (
      'seed', 'epochs', 'eval_epochs', 'log_steps', 'save_steps',
      'save_minutes',
  )  # fmt: skip
  return flags + [(f'config.{key}', config[key]) for key in keys]


def witness(workdir: pathlib.Path, index: int) -> pathlib.Path:
  return workdir.with_name(f'{workdir.name}-reads-{index}')


def reads(workdir: pathlib.Path, index: int) -> list[int]:
  """Returns ids of the windows that a process read for training, in order."""
  first, *batches = map(int, witness(workdir, index).read_text().split())
  assert first == 0  # an example, for the shapes
  return batches


def written(workdir: pathlib.Path, index: int) -> list[str]:
  """Returns the names of the shards of features that a process wrote."""
  return witness(workdir, index).with_suffix('.shards').read_text().split()


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> pathlib.Path:
  """Returns the folder of the notes of the runs `pair` and `single`."""
  return tmp_path_factory.mktemp('ends')


@pytest.fixture(scope='module')
def ends(
    config, cache, backbone, data_dir, root, gs_bucket
) -> dict[str, pathlib.PurePath]:
  """Returns the workdirs of the finished runs; the one of `pair` is in a bucket."""
  workdirs = {
      'pair': files.path(f'{gs_bucket}/pair'),
      'single': root / 'single',
  }
  started = {}
  for name, count in {'pair': 2, 'single': 1}.items():
    # Features in memory or from disk make no difference.
    data = config['data'] | {'in_memory': count == 2}
    for index, place in enumerate(cluster(count)):
      job = {
          'processes': place,
          'config': config | {'data': data},
          'workdir': str(workdirs[name]),
          'backbone': str(backbone),
          'data_dir': str(data_dir),
          'name': name,
      }
      started[name, index] = runs.start(
          'tests.training.witness',
          'stages',
          json.dumps(job),
          JAX_NUM_CPU_DEVICES=str(4 // count),
          WITNESS=str(witness(root / name, index)),
          **cache,
      )
  found = [runs.finish(process) for process in started.values()]
  assert [status for status, *_ in found] == [0] * 3, found
  return workdirs


def assert_close(path, ours, theirs) -> None:
  """Compares a parameter or an optimizer moment of two runs."""
  if jax.tree_util.keystr(path).endswith("['qkv']['bias']"):
    # The bias of the keys has no gradient: AdamW follows rounding errors.
    ours, theirs = (
        np.delete(np.split(x, 3), 1, axis=0) for x in (ours, theirs)
    )
  # The order of sums over four devices differs, for 24 updates.
  np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6)


def test_two_processes_train_as_one(ends):
  pair, single = ends['pair'], ends['single']
  for split, count in {'train': STEPS, 'validation': 2}.items():
    ours, theirs = runs.metrics(pair, split), runs.metrics(single, split)
    assert list(ours) == list(theirs)
    assert len(ours) == count
    for step, line in theirs.items():
      for name in line.keys() - runs.TIMED - {'split'}:
        expected = (
            None if line[name] is None else pytest.approx(line[name], 1e-5)
        )
        assert ours[step][name] == expected, (step, name)
  jax.tree_util.tree_map_with_path(
      assert_close,
      resume_test.final_state(pair),
      resume_test.final_state(single),
  )


def test_only_the_first_process_writes_metrics(ends):
  for workdir in ends.values():
    assert len(list((workdir / 'tb').iterdir())) == 1


@pytest.mark.usefixtures('ends')
def test_each_process_reads_its_half_of_every_batch(root):
  single = reads(root / 'single', 0)
  halves = [reads(root / 'pair', index) for index in (0, 1)]
  half = BATCH // 2
  for step in range(STEPS):
    batch = single[step * BATCH : (step + 1) * BATCH]
    parts = [ids[step * half : (step + 1) * half] for ids in halves]
    assert parts == [batch[:half], batch[half:]]


@pytest.mark.parametrize('name', ['predictions/validation.npz', 'test.csv'])
def test_two_processes_predict_as_one(ends, name):
  ours, theirs = (
      prediction_files.read(ends[run] / name).to_rows()
      for run in ('pair', 'single')
  )
  assert len(ours['row']) == len(np.unique(ours['row']))
  assert len(theirs['row']) % BATCH, 'the last batch has no padding'
  assert ours.keys() == theirs.keys()
  for key, values in theirs.items():
    if key.startswith('pred_'):
      np.testing.assert_allclose(ours[key], values, rtol=1e-4, atol=1e-6)
    else:
      np.testing.assert_array_equal(ours[key], values)


@pytest.mark.usefixtures('ends')
def test_two_processes_extract_as_one(root, data_dir):
  shards = [written(root / 'pair', index) for index in (0, 1)]
  assert all(shards), 'a process wrote nothing'
  assert sorted(shards[0] + shards[1]) == sorted(written(root / 'single', 0))
  for split in labels.SPLITS:
    ours, theirs = (
        sources.Records(data_dir, 's_aff_wild2_features', name, split)
        for name in ('pair', 'single')
    )
    for record, expected in zip(ours, theirs, strict=True):
      np.testing.assert_array_equal(record['row'], expected['row'])
      np.testing.assert_allclose(
          record['features'], expected['features'], rtol=1e-4, atol=1e-5
      )


def test_a_signal_to_one_process_ends_both(
    ends, root, start, gs_bucket, tmp_path
):
  # The processes share no disk, only a bucket.
  workdir, notes = files.path(f'{gs_bucket}/broken'), tmp_path / 'broken'
  # SIGTERM to one process: both save the same step.
  both = start(workdir, notes=notes)
  resume_test.hit(both[1], signal.SIGTERM, lambda: lines(workdir) >= 5)
  status, out, error = runs.finish(both[0])
  assert [status, both[1].returncode] == [0, 0], out + error
  last = out.splitlines()[-1]
  assert last.startswith('stopped: saved step ')
  step = int(last.removeprefix('stopped: saved step ').partition(';')[0])
  assert (workdir / 'checkpoints' / str(step)).is_dir()
  assert max(runs.metrics(workdir)) == step < STEPS

  # SIGKILL to one process, some updates later: the other one ends too.
  forget(notes)
  both = start(workdir, notes=notes)
  resume_test.hit(both[1], signal.SIGKILL, lambda: lines(workdir) >= step + 6)
  killed = time.monotonic()
  status, out, error = runs.finish(both[0])
  assert f'resuming from step {step}\n' in out
  assert status not in (0, None)
  assert time.monotonic() - killed < 90
  assert 'another process does not answer' in error or 'another task' in error
  expected = [reads(root / 'pair', index)[4 * step :] for index in (0, 1)]
  for index in (0, 1):
    found = reads(notes, index)
    assert found == expected[index][: len(found)]
    assert len(found) >= 4 * 6

  # Both start again: the run ends like one without interruptions.
  status, _, error = zip(
      *map(runs.finish, start(workdir, notes=notes)), strict=True
  )
  assert status == (0, 0), error
  resume_test.assert_same_run(workdir, ends['pair'])
  # Process 0 wrote a file of events at each start.
  assert len(list((workdir / 'tb').iterdir())) == 3


def test_a_kill_on_a_shared_disk_changes_no_result(ends, start, tmp_path):
  workdir = tmp_path / 'killed'
  both = start(workdir)
  resume_test.hit(both[0], signal.SIGKILL, lambda: lines(workdir) >= 6)
  status, _, error = runs.finish(both[1])
  assert status not in (0, None), error
  found = [runs.finish(process) for process in start(workdir)]
  assert [status for status, *_ in found] == [0, 0], found
  assert 'resuming from step' in found[0][1]
  resume_test.assert_same_run(workdir, ends['pair'])


def lines(workdir: pathlib.PurePath) -> int:
  time.sleep(0.1)  # the emulator needs the processor, too
  return resume_test.num_lines(workdir)


def forget(workdir: pathlib.Path) -> None:
  """Removes the records of the reads so far."""
  for index in (0, 1):
    witness(workdir, index).unlink()


def test_processes_with_different_settings_all_end_with_the_reason(
    start, tmp_path
):
  both = start(tmp_path / 'run', '--config.optim.lr=0.5')
  found = [runs.finish(process) for process in both]
  assert [status for status, _, _ in found] == [2, 2]
  wrong = 'process 1 differs from process 0: config.optim.lr is 0.5 here and'
  assert f'error: {wrong}' in found[1][2]
  assert f'error: process 1 failed: {wrong}' in found[0][2]
  # A process of several ends without cleanup; nobody holds this lock.
  assert [path.name for path in (tmp_path / 'run').iterdir()] == ['lock']


@pytest.mark.parametrize(
    ('place', 'message'),
    [
        ({'coordinator': 'h:1'}, 'give all three'),
        ({'num_processes': 2, 'process_id': 0}, 'give all three'),
        ((':1', 2, 0), 'give host:port'),
        (('h:x', 2, 0), 'give host:port'),
        (('h:1', 2, 2), '--process_id=2: give 0 to 1'),
    ],
)
def test_inconsistent_flags_are_refused(place, message):
  if isinstance(place, tuple):
    names = ('coordinator', 'num_processes', 'process_id')
    place = dict(zip(names, place, strict=True))
  with (
      pytest.raises(errors.InputError, match=message),
      processes.joined(**place),
  ):
    pass


def test_a_coordinator_that_does_not_answer_is_named():
  place = cluster(2)[1]
  with (
      pytest.raises(errors.InputError, match='no answer within 1 s'),
      processes.joined(**place, timeout_s=1),
  ):
    pass


@pytest.mark.parametrize(
    ('env', 'launcher'),
    [
        ({}, None),
        ({'SLURM_NTASKS': '2'}, None),  # in the batch script, outside srun
        ({'SLURM_NTASKS': '1', 'SLURM_STEP_NODELIST': 'a'}, None),
        ({'SLURM_NTASKS': '2', 'SLURM_STEP_NODELIST': 'a'}, 'SLURM'),
        ({'OMPI_COMM_WORLD_SIZE': '1'}, None),
        ({'OMPI_COMM_WORLD_SIZE': '8'}, 'Open MPI'),
        ({'KUBERNETES_SERVICE_HOST': 'h'}, None),
        (
            {'KUBERNETES_SERVICE_HOST': 'h', 'JOB_COMPLETION_INDEX': '0'},
            'Kubernetes',
        ),
        ({'OMPI_COMM_WORLD_SIZE': '8', 'ABAW_JAX_CHILD': '1'}, None),
    ],
)
def test_the_environment_shows_the_launcher(monkeypatch, env, launcher):
  for name in tuple(os.environ):
    if name.startswith(('SLURM_', 'OMPI_', 'KUBERNETES_', 'JOB_')):
      monkeypatch.delenv(name)
  for name, value in env.items():
    monkeypatch.setenv(name, value)
  assert processes.launcher() == launcher
