"""Every variant of every config gives a task, an optimizer and a train state."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import pytest

from abaw_jax.configs import mae_tpu
from abaw_jax.models import zoo
from abaw_jax.steps import optimization, skipping, steps
from abaw_jax.tasks import registry
from tests.training import runs

CONFIGS = runs.CONFIGS | {'mae_tpu': mae_tpu}
VARIANTS = [
    (name, variant)
    for name, config in CONFIGS.items()
    for variant in config.VARIANTS
]
FEATURE_DIM = 48


def state_key(name: str, variant: str) -> str:
  """Returns the part of the config that changes the train state."""
  config = CONFIGS[name].get_config(variant).to_dict()
  return str((config['model'], config['optim']['freeze']))


# Variants for different numbers of chips have the same train state.
STATES = list({state_key(*both): both for both in VARIANTS}.values())


def batch(config) -> dict[str, jax.Array]:
  """Returns a batch of one example, with the fields that parameters depend on."""
  if config['model']['name'] == 'temporal':
    length = config['data']['window']
    return {
        'features': jnp.zeros((1, length, FEATURE_DIM)),
        'frame_mask': jnp.ones((1, length), bool),
        'frame_id': jnp.zeros((1, length), jnp.int32),
    }
  size = config['model']['image_size']
  return {'image': jnp.zeros((1, size, size, 3), jnp.uint8)}


@pytest.mark.parametrize(('name', 'variant'), STATES)
def test_every_variant_gives_a_train_state(name, variant):
  config = CONFIGS[name].get_config(variant).to_dict()
  if name == 'identity':
    config['model']['num_classes'] = 1000  # otherwise counted in the dataset
  task = registry.make_task(config)
  schedule = optimization.make_schedule(
      config, total_steps=1000, warmup_steps=100
  )
  init = functools.partial(
      steps.init_state,
      batch=batch(config),
      task=task,
      optimizer=skipping.skip_non_finite(
          optimization.make_optimizer(task, schedule)
      ),
  )
  # Shapes only: the largest model does not fit into the memory of a small machine.
  state = jax.eval_shape(init, jax.random.key(0))
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(state.params))
  if name in ('mae', 'mae_tpu', 'frame'):
    part = state.params[task.backbone]
    width = zoo.VITS[config['model']['backbone']]
    blocks = [key for key in part if key.startswith('blocks_')]
    assert len(blocks) == width['depth']
    assert part['norm']['scale'].shape == (width['dim'],)


@pytest.mark.parametrize('name', CONFIGS)
def test_the_first_variant_is_the_default(name):
  default = CONFIGS[name].get_config().to_dict()
  assert (
      default == CONFIGS[name].get_config(CONFIGS[name].VARIANTS[0]).to_dict()
  )


@pytest.mark.parametrize(('name', 'variant'), VARIANTS)
def test_variants_differ_in_values_only(name, variant):
  def kinds(config):
    return jax.tree.map(
        type, config.to_dict(), is_leaf=lambda x: type(x) is tuple
    )

  config = CONFIGS[name].get_config(variant)
  assert kinds(config) == kinds(CONFIGS[name].get_config())
  leaves = jax.tree.leaves(config.to_dict())
  assert {type(leaf) for leaf in leaves} <= {bool, int, float, str}
  assert all(math.isfinite(x) for x in leaves if type(x) is float)


@pytest.mark.parametrize('name', CONFIGS)
def test_an_unknown_variant_lists_the_known_ones(name):
  with pytest.raises(ValueError, match='unknown variant') as error:
    CONFIGS[name].get_config('huge')
  assert all(variant in str(error.value) for variant in CONFIGS[name].VARIANTS)


@pytest.mark.parametrize('variant', mae_tpu.VARIANTS)
def test_the_chips_can_share_the_batch(variant):
  size, generation, chips = variant.rsplit('_', 2)
  config = mae_tpu.get_config(variant)
  assert config.model.backbone == size
  assert config.model.image_size % config.model.patch_size == 0
  devices = int(chips) * mae_tpu.DEVICES_PER_CHIP[generation]
  # Parameters are sharded within a slice, and two slices are the usual maximum.
  assert devices // 2 % config.mesh.fsdp == 0 or chips == '8'
  at_once = devices * config.optim.microbatches
  assert config.data.batch_size % at_once == 0
  rows = config.data.batch_size // at_once
  assert 1 <= rows <= mae_tpu.AT_ONCE[size]


@pytest.mark.parametrize('name', CONFIGS)
def test_the_docstring_gives_the_cost_and_the_score(name):
  text = CONFIGS[name].__doc__
  assert re.search('Cost.*score', text, re.DOTALL | re.IGNORECASE)
  assert f'--config={name}' in text
