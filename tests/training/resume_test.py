"""A killed and resumed run gives the same result as an uninterrupted run."""

from collections.abc import Callable
import json
import os
import pathlib
import signal
import subprocess
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from abaw_jax.core import files
from abaw_jax.tasks import registry
from abaw_jax.training import loop
from tests.training import runs

STEPS = 24
BATCH = 4


@pytest.fixture(scope='module')
def options(feature_dir) -> dict:
  """Returns the changes of the smoke config, by key."""
  window = {'data__window': 8, 'data__stride': 4, 'data__batch_size': BATCH}
  config = runs.smoke('mtl', feature_dir, **window)
  epochs = STEPS * BATCH / len(registry.make_task(config).source('train'))
  return window | {
      'epochs': epochs,
      'eval_epochs': epochs / 2,
      'log_steps': 1,
      'save_steps': 4,
  }


@pytest.fixture(scope='module')
def command(feature_dir, options) -> Callable[..., subprocess.Popen]:
  """Returns a function that starts the training with extra arguments."""
  args = (
      f'--config={runs.ROOT / "configs" / "mtl.py"}:smoke',
      '--config.data.name=s_aff_wild2',
      f'--config.data.dir={feature_dir}',
      *(
          f'--config.{key.replace("__", ".")}={value}'
          for key, value in options.items()
      ),
  )

  def start(*more: str, cwd: pathlib.Path = runs.ROOT) -> subprocess.Popen:
    return runs.start('abaw_jax.train', *args, *more, cwd=cwd, **runs.KILLED)

  return start


@pytest.fixture(scope='module')
def uninterrupted(feature_dir, options, tmp_path_factory) -> pathlib.Path:
  """Returns the workdir of an uninterrupted run."""
  workdir = tmp_path_factory.mktemp('uninterrupted')
  loop.train(runs.smoke('mtl', feature_dir, **options), workdir)
  return workdir


def num_lines(workdir: pathlib.PurePath) -> int:
  """Returns the number of written lines of training metrics."""
  path = workdir / 'metrics.jsonl'
  return path.read_text().count('"train"') if path.exists() else 0


def half_saved(workdir: pathlib.Path) -> bool:
  """Returns whether the workdir has an incomplete checkpoint."""
  return any((workdir / 'checkpoints').glob('*tmp*'))


def hit(
    process: subprocess.Popen, number: int, moment: Callable[[], bool]
) -> tuple[int, str, str]:
  """Sends a signal as soon as a condition is true."""
  deadline = time.monotonic() + 120
  while process.poll() is None and time.monotonic() < deadline:
    if moment():
      # A stopped process cannot change the condition before the second check.
      os.kill(process.pid, signal.SIGSTOP)
      if moment():
        os.kill(process.pid, number)
        os.kill(process.pid, signal.SIGCONT)
        return runs.finish(process)
      os.kill(process.pid, signal.SIGCONT)
    time.sleep(0.002)  # the process needs the processor, too
  status, out, error = runs.finish(process)
  raise AssertionError(f'the moment never came: {status}\n{out}\n{error}')


def final_state(workdir: pathlib.PurePath):
  """Returns the parameters and the optimiser state of the last step."""
  step = json.loads((workdir / 'DONE').read_text())['step']
  parts = []
  with ocp.PyTreeCheckpointer() as checkpointer:
    for name in ('params', 'optimizer'):
      path = files.absolute(workdir) / 'checkpoints' / str(step) / name
      tree = checkpointer.metadata(path).item_metadata.tree
      as_numpy = jax.tree.map(
          lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree
      )
      parts.append(checkpointer.restore(path, restore_args=as_numpy))
  return parts


def assert_same_run(ours: pathlib.PurePath, expected: pathlib.Path) -> None:
  """Checks that two runs have the same results, bit for bit."""
  jax.tree.map(
      np.testing.assert_array_equal, final_state(ours), final_state(expected)
  )
  for split in ('train', 'validation'):
    found, lines = runs.metrics(ours, split), runs.metrics(expected, split)
    assert list(found) == list(lines)
    for step, line in lines.items():
      for name in line.keys() - runs.TIMED:
        assert found[step][name] == line[name], (step, name)
  done = [json.loads((run / 'DONE').read_text()) for run in (ours, expected)]
  assert done[0] == done[1]


def test_a_killed_run_ends_like_an_uninterrupted_run(
    command, uninterrupted, tmp_path
):
  workdir = tmp_path / 'killed'
  moments = {
      'before the first checkpoint': lambda: num_lines(workdir) >= 2,
      'during a save': lambda: half_saved(workdir),
      'between two checkpoints': lambda: num_lines(workdir) >= 14,
  }
  for name, moment in moments.items():
    # Features in memory or from disk make no difference.
    in_memory = f'--config.data.in_memory={name == "during a save"}'
    status, _, _ = hit(
        command(f'--workdir={workdir}', in_memory), signal.SIGKILL, moment
    )
    assert status == -signal.SIGKILL, name
    assert not (workdir / 'DONE').exists()
  status, out, error = runs.finish(command(f'--workdir={workdir}'))
  assert status == 0, error
  assert 'resuming from step' in out
  assert_same_run(workdir, uninterrupted)
  assert not half_saved(workdir)
  goodput = list(runs.metrics(workdir, 'goodput').values())
  assert goodput[-1]['step'] == STEPS
  # Two of the kills lost updates that were logged but not saved.
  assert goodput[-1]['lost_s'] > 0.0
  wall = [line['wall_s'] for line in goodput]
  assert wall == sorted(wall)


def test_sigterm_saves_and_the_same_command_resumes(
    command, uninterrupted, tmp_path
):
  # Without --workdir, runs get numbers.
  first, second = (tmp_path / 'runs' / f'mtl_smoke-{n}' for n in (1, 2))
  status, out, error = hit(
      command(cwd=tmp_path), signal.SIGTERM, lambda: num_lines(first) >= 7
  )
  assert status == 0, error
  last = out.splitlines()[-1]
  assert last.startswith('stopped: saved step ')
  step = last.removeprefix('stopped: saved step ').partition(';')[0]
  assert (first / 'checkpoints' / step).is_dir()
  assert not half_saved(first)

  status, out, error = runs.finish(command(cwd=tmp_path))
  assert status == 0, error
  assert f'resuming from step {step}\n' in out
  assert_same_run(first, uninterrupted)
  assert not second.exists()

  process = command(cwd=tmp_path)
  assert any('workdir runs/mtl_smoke-2' in line for line in process.stdout)
  process.kill()
  runs.finish(process)
  assert second.exists()
  assert_same_run(first, uninterrupted)
