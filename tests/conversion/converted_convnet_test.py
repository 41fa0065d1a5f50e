"""Running statistics of a convolutional backbone, from training to features."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

from abaw_jax.checkpoints import parameters, weights
from abaw_jax.conversion import convert
from abaw_jax.core import errors
from abaw_jax.data import sources
from abaw_jax.distributed import sharding
from abaw_jax.inference import evaluation, extraction
from abaw_jax.steps import optimization, optimizers, steps
from abaw_jax.tasks import inputs, registry
from abaw_jax.training import loop
from tests.models import tiny_networks
from tests.training import runs

tiny_iresnet = tiny_networks._tiny_iresnet


@pytest.fixture(name='path', scope='module')
def _path(tiny_iresnet, data_dir, tmp_path_factory) -> pathlib.Path:
  """Returns a folder with the run `full`, and `heads`, which starts from it."""
  root = tmp_path_factory.mktemp('convnet')
  data = root / 'data'
  shutil.copytree(data_dir, data)
  short = {'epochs': 0.4, 'optim__warmup_epochs': 0.0}
  loop.train(runs.smoke('convnet', data, **short), root / 'full')
  heads = runs.smoke(
      'convnet',
      data,
      init_from=str(root / 'full'),
      optim__freeze='backbone',
      **short,
  )
  loop.train(heads, root / 'heads')
  return root


def load(workdir, data):
  """Returns (task, best weights, source) of a run."""
  task = registry.make_task(runs.smoke('convnet', data))
  source = task.source('validation')
  mesh = sharding.make_mesh(fsdp=1)
  shapes = steps.param_shapes(task, inputs.example(task, source), mesh)
  return task, parameters.load(workdir, shapes)[0], source


def test_running_statistics_are_saved(path):
  _, weights, _ = load(path / 'full', path / 'data')
  stem = weights['batch_stats']['backbone']['stem_norm']
  assert not np.allclose(stem['mean'], 0.0)
  assert not np.allclose(stem['var'], 1.0)


def test_a_frozen_backbone_does_not_change(path):
  _, full, _ = load(path / 'full', path / 'data')
  _, heads, _ = load(path / 'heads', path / 'data')
  for part in ('backbone', 'batch_stats'):
    jax.tree.map(np.testing.assert_array_equal, heads[part], full[part])
  kernel = full['heads']['au']['out']['kernel']
  assert not np.array_equal(heads['heads']['au']['out']['kernel'], kernel)


def test_every_row_gets_a_prediction(path):
  scores = evaluation.evaluate(path / 'full', 'validation')
  assert np.isfinite(scores['P_MTL'])


def test_features_use_running_statistics(path):
  data = path / 'data'
  extraction.extract(
      init_from=path / 'full',
      data_dir=data,
      dataset='s_aff_wild2',
      name='convnet',
      batch_size=32,
  )
  task, weights, frames = load(path / 'full', data)
  batch = task.transform()([frames[3]], rows=1)
  expected = jax.jit(task.predict)(weights, batch)['embedding'][0]
  stored = {
      row: vector
      for record in sources.Records(
          data, 's_aff_wild2_features', 'convnet', 'validation'
      )
      for row, vector in zip(
          record['row'].tolist(), record['features'], strict=True
      )
  }
  np.testing.assert_allclose(
      stored[int(batch['row'][0])], expected, rtol=1e-3, atol=1e-4
  )


def test_layer_decay_needs_transformer_blocks(tmp_path):
  task = registry.make_task(
      runs.smoke('convnet', tmp_path, optim__layer_decay=0.75)
  )
  schedule = optimizers.make_schedule(
      lr=1.0, warmup_steps=0, total_steps=1, end_lr=0.0
  )
  with pytest.raises(errors.InputError, match='no transformer blocks'):
    optimization.make_optimizer(task, schedule)


def test_a_temporal_model_reads_features_of_two_backbones(path, tmp_path):
  data = path / 'data'
  section = {
      'name': 'vit',
      'backbone': 'vit_nano',
      'image_size': 32,
      'patch_size': 16,
      'positions': 'sincos',
      'drop_path': 0.0,
      'remat': 'none',
      'scan': False,
      'dtype': 'float32',
      'pool': 'mean',
  }
  shapes = convert.param_shapes(section)
  rng = np.random.default_rng(0)
  weights.write_folder(
      tmp_path / 'vit',
      {
          sharding.path_name(path): rng.normal(0, 0.1, x.shape).astype('f4')
          for path, x in jax.tree_util.tree_leaves_with_path(shapes)
      },
      {'model': section, 'augment': runs.smoke('convnet', data)['augment']},
      {},
  )
  for name, origin, output in (
      ('vit', tmp_path / 'vit', 'embedding'),
      ('both', path / 'heads', 'both'),
  ):
    extraction.extract(
        init_from=origin,
        data_dir=data,
        dataset='s_aff_wild2',
        name=name,
        batch_size=32,
        output=output,
    )
  task = registry.make_task(runs.smoke('mtl', data, data__features='vit,both'))
  example = inputs.example(task, task.source('train'))
  # 64 from the ViT, then the features and the 22 outputs of the IResNet.
  width = 64 + tiny_networks.DIM + 22
  assert example['features'].shape[-1] == width
  params = jax.eval_shape(task.init, jax.random.key(0), example)
  assert width in {x.shape[0] for x in jax.tree.leaves(params)}
