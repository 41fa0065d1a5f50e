"""The log of a run: pictures, profile, speed and goodput."""

import contextlib
import gzip
import io
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import pytest
from tensorboard.backend.event_processing import event_accumulator
import wandb

from abaw_jax.core import errors
from abaw_jax.tasks import registry
from abaw_jax.telemetry import goodput, profiling, writer
from abaw_jax.training import loop
from tests.training import runs

STEPS = 9
BATCH = 4


def config(data_dir, **overrides) -> dict:
  """Returns the config of a MAE run of 9 updates, with pictures and profile."""
  values = runs.smoke(
      'mae',
      data_dir,
      model__decoder_depth=1,
      data__batch_size=BATCH,
      optim__warmup_epochs=0.0,
      log_steps=2,
      save_steps=3,
      plot_steps=4,
      profile_start=2,
      profile_steps=3,
      **overrides,
  )
  rows = len(registry.make_task(values).source('train'))
  return values | {'epochs': STEPS * BATCH / rows}


@pytest.fixture(scope='module')
def run(data_dir, tmp_path_factory) -> tuple[pathlib.Path, list[str]]:
  """Returns (workdir, lines on the console) of a finished run."""
  workdir = tmp_path_factory.mktemp('run')
  with contextlib.redirect_stdout(io.StringIO()) as out:
    loop.train(config(data_dir), workdir, elapsed=1000.0)
  return workdir, out.getvalue().splitlines()


def traces(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Returns the traces for Perfetto."""
  return list((workdir / 'tb').glob('plugins/profile/*/perfetto_trace.json.gz'))


def test_pictures_are_drawn_every_plot_steps_and_at_the_end(run):
  workdir, lines = run
  names = {path.name for path in (workdir / 'plots').iterdir()}
  assert names == {f'reconstruction_{step}.png' for step in (4, 8, STEPS)}
  assert [x for x in lines if x.endswith('plots/reconstruction_4.png')]


def test_the_profile_contains_exactly_its_updates(run):
  workdir, _ = run
  (trace,) = traces(workdir)
  assert list(trace.parent.glob('*.xplane.pb'))  # TensorBoard's
  events = json.loads(gzip.decompress(trace.read_bytes()))['traceEvents']
  steps = [x['args']['step_num'] for x in events if x.get('name') == 'train']
  assert steps == ['2', '3', '4']


def test_every_line_has_the_speed(run):
  workdir, lines = run
  metrics = runs.metrics(workdir)
  assert list(metrics) == [2, 4, 6, 8, STEPS]
  for line in metrics.values():
    assert line['items_per_s'] > 0.0
    assert 0.0 <= line['data_wait'] <= 1.0
    assert line['tflops_per_s'] > 0.0
    assert 'mfu' not in line  # the peak of this CPU is not known
  shown = [line for line in lines if 'FLOP/s' in line]
  assert len(shown) == len(metrics)
  # FLOPs per item do not depend on the time.
  flops = [x['tflops_per_s'] / x['items_per_s'] for x in metrics.values()]
  assert flops == pytest.approx([flops[0]] * len(flops))


def test_goodput_covers_the_time_of_the_run(run):
  workdir, lines = run
  written = runs.metrics(workdir, 'goodput')
  assert list(written) == [0, 2, 3, 4, 6, 8, STEPS]
  for line in written.values():
    seconds = [line[f'{phase}_s'] for phase in goodput.PHASES]
    assert sum(seconds) == pytest.approx(line['wall_s'], abs=0.01)
    assert min(seconds) >= 0.0
  last = written[STEPS]
  assert last['init_s'] > 1000.0
  assert last['lost_s'] == 0.0
  for phase in ('compile', 'steps', 'evaluation', 'checkpoint', 'plots'):
    assert last[f'{phase}_s'] > 0.0, phase
  assert last['profile_s'] > 0.0
  assert last['goodput'] == pytest.approx(
      last['steps_s'] / last['wall_s'], abs=1e-3
  )
  del last['split'], last['step']
  assert lines[-1] == goodput.summary(last)


def test_a_run_that_resumes_after_the_profile_writes_none(
    run, data_dir, tmp_path, monkeypatch, capsys
):
  def fail(**_):
    raise OSError('no network')

  monkeypatch.setenv('WANDB_MODE', 'offline')
  monkeypatch.setattr(wandb, 'init', fail)
  workdir = tmp_path / 'run'
  shutil.copytree(run[0], workdir)
  # As after a kill between the last two checkpoints.
  (workdir / 'DONE').unlink()
  shutil.rmtree(workdir / 'checkpoints' / str(STEPS))
  shutil.rmtree(workdir / 'tb')
  before = runs.metrics(workdir, 'goodput')
  values = config(data_dir) | {'wandb': {'project': 'faces'}}
  loop.train(values, workdir)
  assert capsys.readouterr().out.count('W&B fails (no network)') == 1
  assert traces(workdir) == []
  after = runs.metrics(workdir, 'goodput')
  assert list(after) == [0, 2, 3, 4, 6, 8, STEPS]
  lost = before[STEPS]['steps_s'] - before[6]['steps_s']
  assert after[6]['lost_s'] == pytest.approx(lost, abs=2e-3)
  assert after[6]['steps_s'] == before[6]['steps_s']
  assert after[6]['wall_s'] > before[STEPS]['wall_s']


def test_a_run_that_ends_during_the_profile_closes_it(tmp_path):
  watch = goodput.Stopwatch()
  step = jax.jit(lambda x: x + 1.0)

  def profile():
    return profiling.Profile(tmp_path / 'tb', watch, start=1, count=5, total=9)

  with contextlib.closing(profile()) as first:
    x = jnp.zeros(())
    for i in range(3):
      first.begin(i, x)
      x = step(x)
      first.end(i + 1, x)
    assert traces(tmp_path) == []
  (trace,) = traces(tmp_path)
  with contextlib.closing(profile()) as second:
    second.begin(3, x)
    second.end(4, step(x))
  assert traces(tmp_path) == [trace]


def test_tensorboard_shows_scalars_pictures_and_histograms(run):
  workdir, lines = run
  limits = dict.fromkeys(('scalars', 'images', 'histograms'), 0)  # keep all
  board = event_accumulator.EventAccumulator(str(workdir / 'tb'), limits)
  board.Reload()
  tags = board.Tags()
  expected = {}
  for line in writer.read_lines(workdir / 'metrics.jsonl'):
    step, split = line.pop('step'), line.pop('split')
    for name, value in line.items():
      expected.setdefault(f'{split}/{name}', []).append(
          (step, pytest.approx(value, rel=1e-6))
      )
  assert set(tags['scalars']) == set(expected)
  for tag, values in expected.items():
    assert [(x.step, x.value) for x in board.Scalars(tag)] == values, tag
  steps = [4, 8, STEPS]
  shown = board.Images('plots/reconstruction')
  plots = [workdir / f'plots/reconstruction_{step}.png' for step in steps]
  assert [x.encoded_image_string for x in shown] == [
      path.read_bytes() for path in plots
  ]
  last = {}
  for tag in tags['histograms']:
    found = board.Histograms(tag)
    assert [x.step for x in found] == steps, tag
    last[tag] = found[-1].histogram_value
    assert sum(last[tag].bucket) == last[tag].num
  sizes = {tag: value.num for tag, value in last.items()}
  parts = {tag.partition('/')[2] for tag in sizes}
  assert set(sizes) == {
      f'{k}/{x}' for k in ('weights', 'gradients') for x in parts
  }
  # The console has the number of parameters.
  (count,) = (
      int(x.split()[1].replace(',', '')) for x in lines if ' x cpu' in x
  )
  assert sum(sizes[f'weights/{part}'] for part in parts) == count
  assert sum(sizes[f'gradients/{part}'] for part in parts) == count
  assert all(value.sum_squares > 0.0 for value in last.values())


def test_a_profile_of_no_update_is_refused(data_dir, tmp_path):
  values = config(data_dir) | {'profile_start': STEPS, 'profile_steps': 1}
  with pytest.raises(errors.InputError, match=f'profile_start={STEPS}, '):
    loop.train(values, tmp_path / 'run')


def test_a_dataset_without_validation_is_refused(data_dir, tmp_path):
  shutil.copytree(data_dir / 's_aff_wild2', tmp_path / 's_aff_wild2')
  (path,) = tmp_path.glob('s_aff_wild2/frames/*/dataset_info.json')
  info = json.loads(path.read_text())
  info['splits'] = [x for x in info['splits'] if x['name'] == 'train']
  path.write_text(json.dumps(info))
  with pytest.raises(errors.InputError) as error:
    loop.train(config(data_dir) | runs.smoke('mae', tmp_path), tmp_path / 'run')
  assert "no split 'validation'; choose one of train" in str(error.value)
  assert 'build the dataset with one' in str(error.value)
