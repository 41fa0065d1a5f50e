"""Batches that are made without a dataset look like those of one."""

import pytest

from abaw_jax.core import errors
from abaw_jax.tasks import inputs, registry
from tests import feature_fixtures
from tests.training import runs


def shapes(batch) -> dict:
  return {name: (x.shape, x.dtype) for name, x in batch.items()}


@pytest.mark.parametrize('name', ['mae', 'frame', 'mtl'])
def test_a_batch_has_the_shapes_of_one_from_the_dataset(
    name, data_dir, feature_dir
):
  config = runs.smoke(name, feature_dir if name == 'mtl' else data_dir)
  expected = inputs.example(
      registry.make_task(config), registry.make_task(config).source('train')
  )
  without = config | {'data': config['data'] | {'dir': ''}}
  made = inputs.example_without_data(
      registry.make_task(without), feature_dim=feature_fixtures.DIM
  )
  assert shapes(made) == shapes(expected)
  if name == 'mtl':
    assert shapes(
        inputs.example_without_data(registry.make_task(config))
    ) == shapes(expected)


def test_images_have_the_size_that_reaches_the_device():
  config = runs.smoke('mae', '', data__face_size=48)
  assert inputs.example_without_data(registry.make_task(config))[
      'image'
  ].shape == (1, 48, 48, 3)


def test_the_width_of_features_must_come_from_somewhere():
  config = runs.smoke('mtl', '')
  config['data']['dir'] = ''
  with pytest.raises(errors.InputError, match='--feature_dim=D'):
    inputs.example_without_data(registry.make_task(config))
