"""Recurrent state carried from window to window, in steps and checkpoints."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.distributed import sharding
from abaw_jax.inference import prediction
from abaw_jax.models.layers import variables
from abaw_jax.models.temporal import window_context
from abaw_jax.steps import carries, steps
from abaw_jax.tasks import inputs, registry
from tests.data import corpora
from tests.steps import meshes
from tests.training import runs

WINDOW, BATCH = 8, 2


@pytest.fixture(scope='module')
def video_dir(tmp_path_factory):
  """Returns the folder of features of videos of different lengths."""
  path = tmp_path_factory.mktemp('videos')
  rng = np.random.default_rng(0)
  records = {}
  for split, sizes in (('train', (27, 12, 20)), ('validation', (9, 26, 17))):
    videos = corpora.rows({f'{split}{n}': n for n in sizes})
    records[split] = [
        record
        | {'features': rng.standard_normal((len(record['row']), 5), np.float32)}
        for record in corpora.chunks(videos, 8)
    ]
  corpora.write_records(
      path, records, dataset='toy', name='small', dim=5, card={}
  )
  return path


@pytest.fixture(scope='module')
def config(video_dir) -> dict:
  """Returns the config of a tiny LSTM with carried state."""
  return runs.smoke(
      'mtl',
      video_dir,
      data__name='toy',
      data__batching='stateful_videos',
      data__window=WINDOW,
      data__batch_size=BATCH,
      model__encoder='lstm',
      model__depth=1,
      model__dim=6,
      model__hidden_dims=(4,),
      model__encoder_dropout=0.0,
      model__dropout=0.0,
  )


@pytest.fixture(scope='module')
def training(config):
  return meshes.Training(config, devices=1, fsdp=1)


@functools.partial(jax.jit, static_argnums=0)
def apply(model, params, features, mask, carry):
  """Returns (output of the model for windows, the state after them)."""
  context = window_context.WindowContext(mask)
  result, _ = variables.apply(
      model, params, features, context, carry, train=False
  )
  return result


def leaf(state) -> np.ndarray:
  """Returns the hidden state of every row, [b, h]."""
  return np.asarray(jax.tree.leaves(state.carry)[0])


def test_only_rows_at_the_start_of_a_video_are_reset():
  carry = {'h': (jnp.ones((3, 2)),)}
  batch = {'start': jnp.array([False, True, False])}
  reset = carries.begin(carry, batch)
  np.testing.assert_array_equal(reset['h'][0], [[1, 1], [0, 0], [1, 1]])
  assert carries.begin({}, {}) == {}


def test_single_windows_have_no_carry(config):
  data = config['data'] | {'batching': 'windows', 'stride': WINDOW}
  windows = config | {'data': data}
  state = meshes.Training(windows, devices=1, fsdp=1).shapes
  assert state.carry == {}


def test_the_carry_is_the_state_after_the_frames_so_far(config, training):
  training.start()
  task = registry.make_task(config)
  seen = []
  for _ in range(3):
    batch = next(training.batches)
    params = jax.tree.map(jnp.copy, training.state.params)
    training.update(batch)
    seen.append((batch, params, leaf(training.state)))
  (first, params, after), (second, later, then), _ = seen
  assert first['start'].all()
  assert not second['start'].any()

  def run(params, batch, carry):
    return apply(
        task.model, params, batch['features'], batch['frame_mask'], carry
    )[1]

  carry = run(params, first, task.model.initial_carry(BATCH))
  # The step is a different program, so rounding differs.
  np.testing.assert_allclose(jax.tree.leaves(carry)[0], after, atol=1e-5)
  carry = run(later, second, carry)
  np.testing.assert_allclose(jax.tree.leaves(carry)[0], then, atol=1e-5)


def test_microbatches_give_the_carry_of_the_full_batch(config):
  carried = []
  for parts in (1, 2):
    optim = config['optim'] | {'microbatches': parts}
    ours = meshes.Training(config | {'optim': optim}, devices=1, fsdp=1)
    ours.start()
    ours.run(1)
    carried.append(leaf(ours.state))
  np.testing.assert_allclose(*carried, atol=1e-6)
  assert np.ptp(carried[0], axis=0).max() > 0.01


def test_a_restored_run_has_the_same_losses_bit_for_bit(training, tmp_path):
  training.start()
  training.run(2)
  training.save(tmp_path)
  saved = leaf(training.state)
  assert np.abs(saved).max() > 0
  expected = training.run(4)
  training.restore(tmp_path)
  np.testing.assert_array_equal(leaf(training.state), saved)
  assert training.run(4) == expected


def test_a_skipped_update_keeps_a_finite_carry(training):
  training.start()
  batch = next(training.batches)
  training.update(batch)
  before = leaf(training.state)
  bad = batch | {'features': np.full_like(batch['features'], np.nan)}
  bad['start'] = np.array([False, True])
  metrics = training.update(bad)
  assert metrics['skipped'] == 1
  after = leaf(training.state)
  np.testing.assert_array_equal(after[0], before[0])
  # The carried state belonged to another video.
  np.testing.assert_array_equal(after[1], 0.0)
  assert np.isfinite(training.update(batch)['loss'])


def test_evaluation_carries_from_zero_each_time(config, training):
  training.start()
  params = training.state.params
  task = registry.make_task(config)
  source = registry.make_task(config).source('validation')
  mesh = sharding.make_mesh(fsdp=1)
  step = steps.jit_predict_step(task, mesh)
  passes = [
      prediction.predict_rows(
          step,
          params,
          inputs.eval_batches(registry.make_task(config), source),
          mesh,
      )
      for _ in range(2)
  ]
  for key, values in passes[0].items():
    np.testing.assert_array_equal(values, passes[1][key])
  rows = source.listed(passes[0])
  for video in range(len(source.videos.names)):
    frames = source.videos.frames(video, 0, 1000)
    features = jnp.asarray(frames['features'][None])
    mask = np.ones(features.shape[:2], bool)
    carry = task.model.initial_carry(1)
    output, _ = apply(task.model, params, features, mask, carry)
    # An LSTM with carried state gives the same result as one long window.
    ours = passes[0]['pred_valence'][passes[0]['video_id'] == video]
    order = np.argsort(passes[0]['frame_id'][passes[0]['video_id'] == video])
    np.testing.assert_allclose(ours[order], output['valence'][0], atol=1e-5)
  assert len(rows['row']) == 9 + 26 + 17


MOVE = """
import json, pathlib, sys
from absl import flags
flags.FLAGS.mark_as_parsed()
from tests.steps import meshes
job = json.loads(sys.argv[1])
job['config']['model']['hidden_dims'] = (4,)
eight, one = (
    meshes.Training(job['config'], devices=devices, fsdp=fsdp)
    for devices, fsdp in ((4, 2), (1, 1))
)
for name, pair in (('from', (eight, one)), ('to', (one, eight))):
  moved = meshes.move(*pair, pathlib.Path(job['workdir']) / name, (2, 2))
  moved['share'] = {
      str(ours.state.carry['layers_0'][0].sharding.shard_shape((4, 6)))
      for ours in (pair[1],)
  }.pop()
  print(json.dumps(moved))
eight.batches.close()
one.batches.close()
"""


def test_a_carry_can_be_restored_on_another_mesh(config, tmp_path):
  config = config | {'data': config['data'] | {'batch_size': 4}}
  job = json.dumps({'config': config, 'workdir': str(tmp_path)})
  process = runs.start_code(MOVE, job, JAX_NUM_CPU_DEVICES='4')
  status, out, error = runs.finish(process)
  assert status == 0, error
  lines = [line for line in out.splitlines() if line[:1] == '{']
  for line, share in zip(lines, ('(4, 6)', '(1, 6)'), strict=True):
    moved = json.loads(line)
    assert any(name.startswith('carry/') for name in moved['digests'])
    assert moved['differing'] == []
    assert moved['share'] == share
    # Several devices add the same terms in a different order.
    np.testing.assert_allclose(moved['losses'], moved['unmoved'], rtol=1e-5)
