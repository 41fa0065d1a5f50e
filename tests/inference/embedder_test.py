"""Features are the selected outputs, averaged over the selected crops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.augmentation import test_time_augmentation
from abaw_jax.checkpoints import runs as run_files
from abaw_jax.checkpoints import weights
from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.inference import embedder
from abaw_jax.models.layers import variables
from abaw_jax.training import loop
from tests.models import tiny_networks
from tests.training import runs


@pytest.fixture(name='run', scope='module')
def _run(data_dir, tmp_path_factory):
  """Returns the workdir of a frame model."""
  workdir = tmp_path_factory.mktemp('embedder') / 'frame'
  config = runs.smoke('frame', data_dir, epochs=0.1, optim__warmup_epochs=0.0)
  config['model'] |= tiny_networks.VIT | {'image_size': 64}
  loop.train(config, workdir)
  return workdir


@pytest.fixture(name='images')
def _images():
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.integers(0, 256, (3, 64, 64, 3), np.uint8))


def features(run, images, **options):
  """Returns (features, the loaded embedder)."""
  mesh = sharding.make_mesh(fsdp=1)
  source = embedder.load(run, mesh, **options)
  with jax.set_mesh(mesh):
    result = np.asarray(source.jit(mesh)(source.params, images))
  assert result.shape == (len(images), source.dim)
  return result, source


_apply = jax.jit(
    functools.partial(variables.apply, train=False), static_argnums=0
)


def outputs(source, images):
  """Returns the model's outputs for normalised images."""
  output, _ = _apply(source.model, source.params, images)
  return jax.tree.map(np.asarray, output)


def test_both_is_the_embedding_and_the_logits(run, images):
  both, source = features(run, images, output='both')
  want = outputs(source, source.augmentation.evaluate(images))
  expected = [want['embedding'], want['valence'][:, None]]
  expected += [want['arousal'][:, None], want['expression'], want['au']]
  np.testing.assert_allclose(
      both, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-5
  )
  embedding, _ = features(run, images)
  logits, _ = features(run, images, output='logits')
  np.testing.assert_allclose(
      np.concatenate([embedding, logits], axis=1), both, rtol=1e-4, atol=1e-5
  )
  assert logits.shape[1] == 1 + 1 + 8 + 12


@pytest.mark.parametrize('crops', [2, 10])
def test_features_of_crops_are_averaged(run, images, crops):
  mean, source = features(run, images, crops=crops)
  looks = test_time_augmentation.views(
      images, count=crops, size=source.augmentation.size
  )
  each = [
      outputs(source, source.augmentation.evaluate(look))['embedding']
      for look in looks
  ]
  np.testing.assert_allclose(mean, np.mean(each, axis=0), rtol=1e-4, atol=1e-5)
  assert source.card['crops'] == crops


def test_the_pooling_can_be_changed(run, images):
  mean, _ = features(run, images)
  cls, source = features(run, images, pool='cls')
  assert source.card['model']['pool'] == 'cls'
  tokens = source.model.backbone.clone().apply(
      {'params': source.params['backbone']},
      source.augmentation.evaluate(images),
      train=False,
      method=lambda vit, x, train: vit.norm(vit.encode(x, train=train)),
  )
  np.testing.assert_allclose(cls, tokens[:, 0], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(mean, tokens[:, 1:].mean(1), rtol=1e-4, atol=1e-5)


def test_a_backbone_without_heads_has_no_logits(run, tmp_path):
  section = run_files.read_config(run)
  mesh = sharding.make_mesh(fsdp=1)
  source = embedder.load(run, mesh)
  flat = {
      sharding.path_name(path): np.asarray(x)
      for path, x in jax.tree_util.tree_leaves_with_path(source.params)
  }
  weights.write_folder(
      tmp_path / 'weights',
      flat,
      {'model': source.card['model'], 'augment': section['augment']},
      {},
  )
  with pytest.raises(errors.InputError, match='no classifier'):
    embedder.load(tmp_path / 'weights', mesh, output='both')


@pytest.mark.parametrize(
    ('options', 'text'),
    [({'crops': 3}, '--crops=3'), ({'pool': 'max'}, 'model.pool')],
)
def test_unknown_options_are_refused(run, options, text):
  with pytest.raises(errors.InputError, match=text):
    embedder.load(run, sharding.make_mesh(fsdp=1), **options)
