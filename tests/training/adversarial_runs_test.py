"""Both stages of super-resolution as runs: started, killed, and resumed."""

import contextlib
import io
import signal

import jax
import pytest

from abaw_jax.checkpoints import weights
from abaw_jax.inference import evaluation
from abaw_jax.tasks import registry
from abaw_jax.training import loop
from tests.training import resume_test, runs

STEPS, BATCH, KILLED_AT = 16, 8, 7
TINY = {
    'model__width': 4,
    'model__convs': 1,
    'model__image_size': 16,
    'data__face_size': 16,
    'data__batch_size': BATCH,
    'log_steps': 1,
    'save_steps': 4,
    'plot_steps': 0,
}


@pytest.fixture(name='stages', scope='module')
def _stages(data_dir, tmp_path_factory):
  """Returns (options, workdir, output) of a second stage, and the first one's workdir."""
  root = tmp_path_factory.mktemp('stages')
  options = TINY | {'model__discriminator_width': 0}
  task = registry.make_task(runs.smoke('sr', data_dir, **options))
  options['epochs'] = STEPS * BATCH / len(task.source('train'))
  loop.train(runs.smoke('sr', data_dir, **options), root / 'net')
  options |= {
      'model__discriminator_width': 4,
      'init_from': str(root / 'net'),
  }
  with contextlib.redirect_stdout(io.StringIO()) as out:
    loop.train(runs.smoke('sr', data_dir, **options), root / 'gan')
  return options, root / 'gan', out.getvalue(), root / 'net'


def test_a_killed_second_stage_ends_like_an_uninterrupted_one(
    data_dir, stages, tmp_path, capsys
):
  options, whole, *_ = stages
  workdir = tmp_path / 'killed'
  process = runs.start(
      'abaw_jax.train',
      f'--config={runs.ROOT / "configs" / "sr.py"}:smoke',
      f'--workdir={workdir}',
      '--config.data.name=s_aff_wild2',
      f'--config.data.dir={data_dir}',
      *(
          f'--config.{key.replace("__", ".")}={value}'
          for key, value in options.items()
      ),
      **runs.KILLED,
  )
  status, _, error = resume_test.hit(
      process,
      signal.SIGKILL,
      lambda: resume_test.num_lines(workdir) >= KILLED_AT,
  )
  assert status == -signal.SIGKILL, error
  loop.train(runs.smoke('sr', data_dir, **options), workdir)
  assert 'resuming from step' in capsys.readouterr().out
  resume_test.assert_same_run(workdir, whole)


def test_the_second_stage_starts_from_the_first(stages, data_dir):
  options, gan, out, net = stages
  assert f'starting generator from {net}' in out
  (first,) = runs.metrics(net, 'validation').values()
  assert 5 < first['PSNR'] < 40
  lines = runs.metrics(gan)
  assert {'l1', 'generator', 'discriminator'} <= lines[1].keys()
  scores = evaluation.evaluate(gan, 'validation')
  (last,) = runs.metrics(gan, 'validation').values()
  assert scores['PSNR'] == pytest.approx(last['PSNR'])
  # A second stage may also start from another one with its discriminator.
  config = runs.smoke('sr', data_dir, **options)
  shapes = jax.eval_shape(
      registry.make_task(config).init, jax.random.key(0), {}
  )
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  shapes = jax.tree.map(lambda x: x.update(sharding=place), shapes)
  loaded, _ = weights.load(gan, config['model'], shapes)
  assert loaded.keys() == {'generator', 'discriminator', 'batch_stats'}
