"""Forms for CPUs are in no program for another platform."""

import functools

import jax
import pytest

from abaw_jax.steps import optimization, skipping, steps
from abaw_jax.tasks import inputs, registry
from tests.cpu import platforms
from tests.training import runs

# Every form for CPUs has barriers, which are functions with this attribute.
MARK = 'inlineable = "false"'
NAMES = ('frame', 'mtl')


def train_step(name):
  """Returns (train step, state shapes, batch) of a small model."""
  task = registry.make_task(runs.smoke(name, ''))
  batch = {
      key: jax.ShapeDtypeStruct((4, *value.shape[1:]), value.dtype)
      for key, value in inputs.example_without_data(task, feature_dim=8).items()
  }
  schedule = optimization.make_schedule(
      task.config, total_steps=9, warmup_steps=1
  )
  optimizer = skipping.skip_non_finite(
      optimization.make_optimizer(task, schedule)
  )
  init = functools.partial(steps.init_state, task=task, optimizer=optimizer)
  state = jax.eval_shape(init, jax.random.key(0), batch)

  def step(state, batch):
    return steps.train_step(
        state, batch, task=task, optimizer=optimizer, seed=0
    )

  return step, state, batch


@pytest.mark.parametrize('name', NAMES)
def test_only_programs_for_cpus_have_their_forms(name):
  step, state, batch = train_step(name)
  found = {
      platform: MARK in platforms.lowered(step, platform, state, batch)
      for platform in platforms.DEVICES
  }
  assert found == {'cpu': True, 'tpu': False, 'cuda': False}
