"""Every recipe for labelled faces, on rendered faces in the same layout."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.checkpoints import parameters
from abaw_jax.checkpoints import runs as run_files
from abaw_jax.core import errors
from abaw_jax.data import sources
from abaw_jax.data_builders import build
from abaw_jax.data_builders.procedural import stills
from abaw_jax.distributed import sharding
from abaw_jax.inference import evaluation
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.steps import steps
from abaw_jax.tasks import frame, inputs, registry
from abaw_jax.training import loop
from abaw_jax.workflow import procedural
from tests.models import tiny_networks
from tests.training import runs

tiny_iresnet = tiny_networks._tiny_iresnet

# Labelled tasks of the validation split, by recipe.
PARTS = {
    # The config `affectnet` differs in the resize only.
    'mt_emotieffnet': {'VA', 'EXPR'},
    'fer_plus': {'EXPR'},
    'raf_db': {'EXPR'},
    'lsd': {'EXPR'},
    'emotionet': {'AU'},
    'multi': {'VA', 'EXPR', 'AU'},
}


@pytest.fixture(name='root', scope='module')
def _root(tiny_iresnet, data_dir, tmp_path_factory) -> pathlib.Path:
  """Returns a folder with tiny versions of all datasets."""
  root = tmp_path_factory.mktemp('recipes')
  (root / 's_aff_wild2').symlink_to(data_dir / 's_aff_wild2')
  for name, (layout, config, seed) in procedural.STILLS.items():
    source = root / 'sources' / name
    stills.write(source, layout, videos=12, frames=4, seed=seed, workers=1)
    build.build(name, source_dir=source, data_dir=root, configs=[config])
  return root


def smoke(name, root, **overrides):
  """Returns the smoke config of a recipe, with its built dataset."""
  config = runs.smoke(name, root, **overrides)
  if config['model']['backbone'] == 'vit_nano':
    config['model'] |= tiny_networks.VIT
  if 'data__name' not in overrides:
    shipped = runs.CONFIGS[name].get_config('smoke').data.name
    config['data']['name'] = ','.join(
        procedural._make(root, part, shipped, frame.FrameTask.default_data)[1]
        for part in shipped.split(',')
    )
  return config


@pytest.fixture(name='done', scope='module')
def _done(root) -> pathlib.Path:
  """Returns a folder with one run of every recipe."""
  for name in PARTS:
    config = smoke(name, root)
    config['optim']['warmup_epochs'] = 0.0
    config['epochs'] = min(config['epochs'], 0.2)
    loop.train(config, root / 'runs' / name)
  return root / 'runs'


@pytest.mark.parametrize('name', PARTS)
def test_a_recipe_is_scored_on_the_labelled_tasks(done, name, capsys):
  scores = json.loads((done / name / 'DONE').read_text())
  found = {k for k in ('VA', 'EXPR', 'AU') if scores[k] is not None}
  assert found == PARTS[name]
  np.testing.assert_allclose(
      scores['score'], sum(scores[k] for k in found), rtol=1e-12
  )
  assert (scores['P_MTL'] is None) == (name != 'multi')
  again = evaluation.evaluate(done / name, 'validation')
  task = registry.make_task(run_files.read_config(done / name))
  line = task.summary(again)
  assert line.startswith('P_MTL ' if name == 'multi' else 'score ')
  assert {k for k in ('VA', 'EXPR', 'AU') if f'{k} ' in line[8:]} == found
  table = '\n'.join(task.table(again))
  assert ('accuracy' in table) == ('EXPR' in found)
  assert 'nan' not in table
  losses = runs.metrics(done / name).values()
  assert all(np.isfinite(line['loss']) for line in losses)


def load(workdir, config):
  """Returns (best weights of a run, their step)."""
  source = registry.make_task(config).source('train')
  mesh = sharding.make_mesh(fsdp=1)
  shapes = steps.param_shapes(
      registry.make_task(config),
      inputs.example(registry.make_task(config), source),
      mesh,
  )
  return parameters.load(workdir, shapes)


def test_the_second_stage_starts_from_the_best_heads_of_the_first(
    root, tmp_path
):
  heads = smoke(
      'raf_db', root, optim__freeze='backbone', epochs=2.0, eval_epochs=0.5
  )
  loop.train(heads, tmp_path / 'heads')
  best, step = load(tmp_path / 'heads', heads)
  lines = runs.metrics(tmp_path / 'heads', 'validation')
  assert lines[step]['score'] == max(x['score'] for x in lines.values())
  # With a learning rate of 0, the initial weights stay.
  full = smoke(
      'raf_db',
      root,
      init_from=str(tmp_path / 'heads'),
      optim__lr=0.0,
      optim__warmup_epochs=0.0,
      epochs=0.3,
  )
  loop.train(full, tmp_path / 'full')
  weights, _ = load(tmp_path / 'full', full)
  for part in ('backbone', 'heads'):
    jax.tree.map(np.testing.assert_array_equal, weights[part], best[part])


def test_faithful_variants_differ_only_in_the_statistics():
  module = runs.CONFIGS['affectnet']
  for plain, faithful in (('full', 'faithful'), ('heads', 'faithful_heads')):
    plain = module.get_config(plain).to_dict()
    other = module.get_config(faithful).to_dict()
    assert other['optim'].pop('sam_faithful')
    assert other['optim'].pop('move_frozen_statistics')
    assert not plain['optim'].pop('sam_faithful')
    assert not plain['optim'].pop('move_frozen_statistics')
    assert plain == other


def test_label_counts_cover_all_training_datasets(root):
  config = smoke('multi', root, loss__class_weights='counts')
  source = registry.make_task(config).source('train')
  counts = registry.make_task(config).label_counts(source)
  want = np.zeros(8, int)
  for record in source:
    if record['expr']:
      want[record['expression']] += 1
  np.testing.assert_array_equal(counts.expression, want)
  weights = registry.make_task(config).fitted(source).loss_fn.class_weights
  np.testing.assert_allclose(np.multiply(weights, want), want.max())
  # Prediction needs no counts, so the task can be made without them.
  assert registry.make_task(config).loss_fn.class_weights is None
  config['loss']['class_weights'] = 'none'
  task = registry.make_task(config)
  assert task.fitted(source) is task


def test_only_training_on_fer_plus_reads_votes(root):
  config = smoke('fer_plus', root)
  train = registry.make_task(config).source('train')
  batch = registry.make_task(config).transform(train=True)(
      list(train), rows=len(train)
  )
  votes = sources.Records(root, 'fer_plus', 'frames', 'train', fields=['votes'])
  assert len(votes) == len(train)
  used = batch['expr']
  np.testing.assert_allclose(batch['expression_probs'].sum(-1), used, rtol=1e-6)
  top = np.array([r['votes'].max() > 7 for r in votes])
  assert used[top].mean() > 0.9
  validation = registry.make_task(config).source('validation')
  assert 'votes' not in validation[0]
  batch = registry.make_task(config).transform()([validation[0]], rows=1)
  assert 'expression_probs' not in batch


def test_drawn_classes_follow_the_distribution():
  probs = jnp.tile(jnp.array([[0.5, 0.0, 0.3, 0.2]]), (4000, 1))
  drawn = frame._draw_expressions(jax.random.key(0), probs)
  np.testing.assert_allclose(drawn.mean(0), probs[0], atol=0.03)
  assert set(np.unique(drawn)) == {0.0, 1.0}
  nothing = frame._draw_expressions(jax.random.key(0), jnp.zeros((3, 4)))
  assert np.isfinite(nothing).all()


def test_probability_mode_trains_on_the_drawn_classes(root):
  tasks_of_modes = {}
  for mode in ('crossentropy', 'probability'):
    config = smoke('fer_plus', root, data__expression_targets=mode)
    tasks_of_modes[mode] = registry.make_task(config)
  source = registry.make_task(config).source('train')
  batch = registry.make_task(config).transform(train=True)(
      [source[i] for i in range(4)], rows=4
  )
  batch['expression_probs'][:] = [0.5, 0.5, 0, 0, 0, 0, 0, 0]
  batch['expr'][:] = True
  batch = jax.tree.map(jnp.asarray, batch)
  soft, drawing = tasks_of_modes.values()
  params = jax.jit(soft.init)(jax.random.key(0), batch)

  @jax.jit
  def losses(params, batch, key):
    drawn = frame._draw_expressions(
        jax.random.split(key, 4)[3], batch['expression_probs']
    )
    want, _ = soft.loss(params, batch | {'expression_probs': drawn}, key)
    value, _ = drawing.loss(params, batch, key)
    return drawn, value, want

  seen = set()
  for seed in range(3):
    drawn, value, want = losses(params, batch, jax.random.key(seed))
    seen.add(tuple(np.argmax(drawn, -1).tolist()))
    np.testing.assert_array_equal(value, want)
  assert len(seen) > 1


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'data__expression_targets': 'mean'}, 'majority, probability, cross'),
        ({'data__class_balance': 'au'}, 'choose one of none, expression'),
        ({'data__validation': 'fer_plus'}, "'fer_plus' is not in"),
        (
            {'data__class_balance': 'expression', 'data__weights': '2,1'},
            'set only one of them',
        ),
    ],
)
def test_values_that_do_not_fit_are_refused(root, overrides, message):
  config = smoke('raf_db', root, data__name='raf_db,emotionet', **overrides)
  with pytest.raises(errors.InputError, match=message):
    registry.make_task(config).source('validation')


def test_rendered_layouts_get_the_names_of_built_datasets(
    tmp_path, monkeypatch
):
  ran = []
  monkeypatch.setattr(procedural.stage_lib, 'run', ran.extend)
  config = runs.CONFIGS['multi'].get_config('smoke').to_dict()
  config['data']['dir'] = str(tmp_path)
  procedural.resolve(config, 'frames')
  assert config['data']['name'] == (
      's_aff_wild2,affectnet/manual_2017,raf_db/frames,fer_plus/frames,'
      'emotionet/frames'
  )
  assert len({stage.done for stage in ran}) == len(ran) == 10
  seeds = {w for stage in ran for w in stage.command if '--seed' in w}
  assert len(seeds) == 4
  config['data']['name'] = 'procedural/celeba'
  with pytest.raises(
      errors.InputError, match="'celeba' cannot be rendered; choose"
  ):
    procedural.resolve(config, 'frames')


def test_mt_emotieffnet_has_both_stages_of_both_sizes():
  module = runs.CONFIGS['mt_emotieffnet']
  for size, width, pixels in (('b0', 1280, 224), ('b2', 1408, 260)):
    heads, full = (module.get_config(size + x) for x in ('_heads', ''))
    assert (heads.optim.freeze, full.optim.freeze) == ('backbone', '')
    assert (heads.epochs, full.epochs) == (3.0, 6.0)
    assert (heads.optim.lr, full.optim.lr) == (1e-3, 1e-4)
    for config in (heads, full):
      assert config.optim.sam_rho == 0.05
      assert config.model.image_size == pixels
      assert zoo.make_backbone(config.model.to_dict()).dim == width


def test_the_loss_of_mt_emotieffnet_is_that_of_one_layer_of_ten_units(root):
  config = smoke('mt_emotieffnet', root)
  source = registry.make_task(config).source('train')
  task = registry.make_task(config).fitted(source)
  batch = task.transform(train=True)([source[i] for i in range(8)], rows=8)
  batch = jax.tree.map(jnp.asarray, batch)
  params = jax.jit(task.init)(jax.random.key(0), batch)

  @jax.jit
  def loss_and_output(params, batch, key):
    loss, _ = task.loss(params, batch, key)
    images = task.augmentation.train(key, batch['image'])
    output, _ = variables.apply(task.model, params, images, train=True)
    return loss, output

  loss, output = loss_and_output(params, batch, jax.random.key(1))
  ours = [
      params['heads'][k]['out'] for k in ('expression', 'valence', 'arousal')
  ]
  layer = torch.nn.Linear(output['embedding'].shape[-1], 10)
  kernel, bias = (
      torch.tensor(np.concatenate([np.asarray(x[k]) for x in ours], axis=-1))
      for k in ('kernel', 'bias')
  )
  layer.weight.data, layer.bias.data = kernel.T, bias
  z = layer(torch.tensor(np.asarray(output['embedding'])))
  counts = np.bincount(
      [r['expression'] for r in source if r['expr']], minlength=8
  )
  weight = torch.tensor(counts.max() / np.maximum(counts, 1)).float()
  label = torch.tensor(np.asarray(batch['expression'])).long()
  want = torch.nn.functional.cross_entropy(z[:, :8], label, weight=weight)
  for i, name in enumerate(('valence', 'arousal'), start=8):
    x, y = z[:, i], torch.tensor(np.asarray(batch[name]))
    covariance = ((x - x.mean()) * (y - y.mean())).sum() / (len(x) - 1)
    shift = (x.mean() - y.mean()) ** 2
    want += (1 - 2 * covariance / (x.var() + y.var() + shift)) / 2
  np.testing.assert_allclose(loss, want.item(), rtol=1e-4)
