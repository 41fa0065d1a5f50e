"""Runs with LoRA: frozen weights, adapters, merged weights, and a resumed run."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.checkpoints import adapters, parameters, weights
from abaw_jax.checkpoints import runs as stored_runs
from abaw_jax.conversion import adapter_export, convert
from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.inference import embedder, evaluation
from abaw_jax.models import zoo
from abaw_jax.steps import optimization
from abaw_jax.tasks import inputs, registry
from abaw_jax.training import loop
from tests.training import runs

STEPS = 4
SHORT = {
    'data__batch_size': 4,
    'optim__warmup_epochs': 0.0,
    'eval_epochs': 0.0,
    'save_steps': 2,
    'log_steps': 1,
}
# All that changes a step; the learning rate is high, so that factors move.
LORA = SHORT | {
    'model__lora_rank': 4,
    'model__scan': True,
    'model__remat': 'dots',
    'model__dtype': 'bfloat16',
    'optim__lr': 1.0,
    'optim__microbatches': 2,
    'optim__ema': 0.5,
    'optim__sam_rho': 0.05,
    'optim__layer_decay': 0.75,
}


def config(name, data_dir, options):
  found = runs.smoke(name, data_dir, **options)
  source = registry.make_task(found).source('train')
  batch = found['data']['batch_size']
  return found | {'epochs': STEPS * batch / len(source)}


def stored(workdir):
  """Returns all weights of a run by path."""
  section = stored_runs.read_config(workdir)
  task = registry.make_task(section)
  example = inputs.example_without_data(task)
  shapes = jax.eval_shape(task.init, jax.random.key(0), example)
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  shapes = sharding.with_shardings(
      shapes, jax.tree.map(lambda _: place, shapes)
  )
  return weights.load(workdir, section['model'], shapes)[0]


@pytest.fixture(scope='module')
def root(data_dir, tmp_path_factory):
  """Returns a folder with a MAE, two runs with LoRA, and their adapters."""
  root = tmp_path_factory.mktemp('lora')
  mae = SHORT | {'model__decoder_depth': 1}
  loop.train(config('mae', data_dir, mae), root / 'mae')
  for name, seed in (('run', 0), ('other', 1)):
    options = LORA | {'init_from': str(root / 'mae'), 'seed': seed}
    loop.train(config('frame', data_dir, options), root / name)
    adapter_export.write_adapter(root / name, root / f'{name}_adapter')
  return root


def test_only_factors_and_heads_are_trained(root):
  params, mae = stored(root / 'run'), stored(root / 'mae')
  base = adapters.without_factors(params)['backbone']
  jax.tree.map(np.testing.assert_array_equal, base, mae['encoder'])
  for block in ('blocks_0', 'blocks_1'):
    for layer in ('qkv', 'proj'):
      assert np.any(params['backbone'][block]['attn'][layer]['lora_b'])
  section = stored_runs.read_config(root / 'run')
  task = registry.make_task(section)
  state = optimization.make_optimizer(task, lambda _: 1.0).init(params)
  names = [
      sharding.path_name(path)
      for path, _ in jax.tree_util.tree_leaves_with_path(state)
  ]
  assert any('backbone' in name for name in names)
  assert all('lora_' in name for name in names if 'backbone' in name)


def test_a_resumed_run_is_equal_bit_for_bit(root, data_dir, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(root / 'run', workdir)
  (workdir / 'DONE').unlink()
  shutil.rmtree(workdir / 'checkpoints' / str(STEPS))
  options = LORA | {'init_from': str(root / 'mae')}
  loop.train(config('frame', data_dir, options), workdir)
  assert (workdir / 'DONE').read_text() == (root / 'run' / 'DONE').read_text()
  jax.tree.map(
      np.testing.assert_array_equal, stored(workdir), stored(root / 'run')
  )


def test_adapters_of_one_base_give_their_runs(root):
  mesh = sharding.make_mesh(fsdp=1, devices=jax.devices()[:1])
  images = np.random.default_rng(0).integers(
      0, 256, (2, 64, 64, 3), dtype=np.uint8
  )
  outputs = {}
  for name in ('run', 'other'):
    loaded = [
        embedder.load(root / x, mesh, output='both')
        for x in (name, f'{name}_adapter')
    ]
    jax.tree.map(
        np.testing.assert_array_equal, loaded[0].params, loaded[1].params
    )
    assert not adapters.only_factors(loaded[0].params)
    outputs[name] = loaded[0].jit(mesh)(loaded[0].params, images)
    # Merged weights against the factors of the run, both in float32.
    section = stored_runs.read_config(root / name)
    section['model'] |= {'dtype': 'float32', 'scan': False}
    task = registry.make_task(section)
    unmerged = task.evaluate(stored(root / name), jnp.asarray(images))
    merged = zoo.make_model(**zoo.without_lora(section['model'])).apply(
        {'params': loaded[0].params},
        task.augmentation.evaluate(jnp.asarray(images)),
        train=False,
    )
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4),
        unmerged,
        merged,
    )
  assert np.abs(outputs['run'] - outputs['other']).max() > 1e-3
  sizes = [
      sum(x.stat().st_size for x in (root / x).rglob('*') if x.is_file())
      for x in ('run_adapter', 'run/checkpoints')
  ]
  assert sizes[0] < sizes[1] / 10


def test_an_adapter_is_evaluated_like_its_run(root):
  found = evaluation.evaluate(root / 'run_adapter', 'validation')
  assert found == evaluation.evaluate(root / 'run', 'validation')


def test_other_models_start_from_merged_weights(root, data_dir, tmp_path):
  options = SHORT | {'init_from': str(root / 'run_adapter'), 'optim__lr': 0.0}
  loop.train(config('frame', data_dir, options), tmp_path / 'full')
  lora = zoo.lora_of(stored_runs.read_config(root / 'run')['model'])
  merged = adapters.merged(stored(root / 'run'), lora)
  assert parameters.checksum(stored(tmp_path / 'full')) == parameters.checksum(
      merged
  )
  convert.export_weights(root / 'run', tmp_path / 'run.safetensors')


def test_wrong_bases_and_runs_are_one_line(root, tmp_path):
  moved = tmp_path / 'moved'
  shutil.copytree(root / 'run_adapter', moved)
  card = json.loads((moved / 'card.json').read_text())
  section = stored_runs.read_config(moved)['model']
  section = zoo.without_lora(zoo.backbone_section(section))
  shapes = convert.param_shapes(section)
  for base, message in (
      (root / 'other', 'has other weights than those it was trained on'),
      (tmp_path / 'none', 'its base weights are not in'),
  ):
    card['base']['path'] = str(base)
    (moved / 'card.json').write_text(json.dumps(card))
    with pytest.raises(errors.InputError, match=message):
      weights.load_backbone(moved, section, shapes)
  # Written again with its base.
  adapter_export.write_adapter(moved, tmp_path / 'new', base=root / 'mae')
  weights.load_backbone(tmp_path / 'new', section, shapes)
  with pytest.raises(errors.InputError, match='was trained without LoRA'):
    adapter_export.write_adapter(root / 'mae', tmp_path / 'x')
  with pytest.raises(errors.InputError, match='has other weights than those'):
    adapter_export.write_adapter(
        root / 'run', tmp_path / 'x', base=root / 'other'
    )
