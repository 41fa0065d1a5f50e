"""The perceptual loss is the distance of feature maps, and moves no weights."""

import dataclasses
import pathlib

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.checkpoints import weights as weights_lib
from abaw_jax.core import errors
from abaw_jax.models import perceptual, zoo
from abaw_jax.models.layers import variables
from abaw_jax.tasks import registry
from tests.tasks import super_resolution_test
from tests.training import runs

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
MODEL = {
    'name': 'convnet',
    'backbone': 'iresnet_nano',
    'image_size': 32,
    'remat': 'none',
    'dtype': 'float32',
}


@pytest.fixture(name='folder', scope='module')
def _folder(tmp_path_factory) -> pathlib.Path:
  """Returns a folder of weights of a small network."""
  model = zoo.make_model(**MODEL)
  images = jnp.zeros((1, 32, 32, 3))
  init = jax.jit(lambda key: variables.init(model, key, images))
  tree = jax.device_get(init(jax.random.key(0)))
  flat = traverse_util.flatten_dict(tree, sep='/')
  config = {'model': MODEL, 'augment': {'mean': MEAN, 'std': STD}}
  folder = tmp_path_factory.mktemp('perceptual') / 'weights'
  weights_lib.write_folder(folder, flat, config, {})
  return folder


def test_a_distance_is_that_of_the_maps(folder):
  loss = perceptual.PerceptualLoss.from_section(perceptual.read_section(folder))
  weights = perceptual.read_weights(folder)
  expected_shapes = jax.tree.map(jnp.shape, loss.empty_weights())
  assert jax.tree.map(np.shape, weights) == expected_shapes
  rng = np.random.default_rng(0)
  images, targets = rng.random((2, 3, 32, 32, 3), np.float32)
  features = jax.jit(
      lambda x: variables.apply(
          loss.backbone, weights, x, train=False, method='features'
      )[0]
  )
  maps = [
      features(jnp.asarray((x - MEAN) / STD, jnp.float32))
      for x in (images, targets)
  ]
  names = [name for name, x in maps[0].items() if x.ndim == 4]
  assert len(names) > 3
  expected = np.mean(
      [
          np.abs(maps[0][name] - maps[1][name]).mean()
          / np.abs(maps[1][name]).mean()
          for name in names
      ]
  )
  distance = jax.jit(jax.value_and_grad(loss.distance, (0, 1, 2)))
  found, grads = distance(weights, jnp.asarray(images), jnp.asarray(targets))
  np.testing.assert_allclose(found, expected, rtol=1e-4)
  largest = [max(jnp.abs(x).max() for x in jax.tree.leaves(g)) for g in grads]
  assert largest[0] == largest[2] == 0 < largest[1]
  assert distance(weights, *[jnp.asarray(targets)] * 2)[0] == 0


def test_a_task_keeps_the_weights_next_to_its_statistics(folder):
  config = runs.smoke('sr', pathlib.Path('unused'), data__face_size=32)
  config['loss']['perceptual'] = str(folder)
  task_class = registry.task_class(config)
  config = task_class.complete(config)
  task = registry.make_task(config)
  task = dataclasses.replace(
      task,
      degradation=super_resolution_test.Mean(**vars(task.degradation)),
  )
  params = jax.jit(lambda key: task.init(key, {}))(jax.random.key(0))
  values = task.statistics(None)['perceptual']
  empty = params[variables.STATISTICS]['perceptual']
  assert jax.tree.map(np.shape, values) == jax.tree.map(np.shape, empty)
  params[variables.STATISTICS]['perceptual'] = values
  images = super_resolution_test.batches()[0]
  _, scalars = jax.jit(task.loss)(
      params, {'image': jnp.asarray(images)}, jax.random.key(1)
  )
  assert scalars['perceptual'] > 0
  jax.tree.map(
      np.testing.assert_array_equal,
      scalars[variables.STATISTICS]['perceptual'],
      values,
  )
  # A second stage reads the backbone again, not those of the first stage.
  stored = task_class.stored(config['model'], params)
  assert stored.keys() == {'generator', 'discriminator'}


@pytest.mark.parametrize('content', ['missing', 'vit'])
def test_a_wrong_folder_is_named(tmp_path, content):
  if content == 'vit':
    (tmp_path / 'config.json').write_text('{"model": {"backbone": "vit_b"}}')
  with pytest.raises(errors.InputError, match=f'loss.perceptual.*{tmp_path}'):
    perceptual.read_section(tmp_path)
