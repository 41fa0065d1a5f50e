"""LoRA, Adafactor and Muon on one device and on eight give the same training.

`python -m tests.steps.sharded_rules_test` trains, and prints the results as JSON.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.distributed import sharding
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.steps import optimizers, skipping, steps
from tests.steps import toy_task
from tests.training import runs

SECTION = {
    'name': 'vit',
    'backbone': '',
    'dim': 128,
    'depth': 1,
    'num_heads': 2,
    'image_size': 16,
    'patch_size': 8,
    'positions': 'sincos',
    'drop_path': 0.0,
    'remat': 'none',
    'scan': False,
    'dtype': 'float32',
    'num_classes': 3,
}
# (optimizer, changes of the model)
CASES = {
    'adafactor': ('adafactor', {}),
    'muon': ('muon', {}),
    'lora': ('adamw', {'lora_rank': 8}),
}


class ImageTask(toy_task.ToyTask):
  """Squared error of a ViT."""

  def __init__(self, model):
    object.__setattr__(self, 'model', model)

  def init(self, key, batch):
    return variables.init(self.model, key, batch['x'])

  def loss(self, params, batch, key):
    output, _ = variables.apply(self.model, params, batch['x'], train=True)
    loss = jnp.mean((output['logits'] - batch['y']) ** 2)
    return loss, {'loss': loss}

  predict = None


def train(name, change, mesh):
  """Returns (losses of three updates, shards of arrays of the state by path)."""
  rng = np.random.default_rng(0)
  batch = {
      'x': rng.normal(size=(8, 16, 16, 3)).astype(np.float32),
      'y': rng.normal(size=(8, 3)).astype(np.float32),
  }
  optimizer = skipping.skip_non_finite(
      optimizers.make_optimizer(
          name=name,
          schedule=lambda _: 1e-3,
          b1=0.9,
          b2=0.99,
          weight_decay=0.1,
          clip_norm=1.0,
          layer_decay=1.0,
          num_layers=1,
          prefix='backbone',
          lora=bool(change),
      )
  )
  task = ImageTask(zoo.make_model(**SECTION, **change))
  with jax.set_mesh(mesh):
    init, shapes = steps.jit_init(task, optimizer, mesh, batch)
    step = steps.jit_train_step(task, optimizer, mesh, shapes, seed=0)
    state, losses = init(jax.random.key(0)), []
    for _ in range(3):
      split = sharding.to_devices(batch, sharding.over_batch(mesh))
      state, metrics = step(state, split)
      losses.append(float(metrics['loss']))
  parts = {
      sharding.path_name(path): x.size // x.addressable_shards[0].data.size
      for path, x in jax.tree_util.tree_leaves_with_path(state)
  }
  return losses, parts


def main():
  one = sharding.make_mesh(fsdp=1, devices=jax.devices()[:1])
  eight = sharding.make_mesh(fsdp=2, zero=2)
  print(
      json.dumps(
          {
              case: [train(*options, mesh) for mesh in (one, eight)]
              for case, options in CASES.items()
          }
      )
  )


@pytest.fixture(scope='module')
def results():
  process = runs.start(
      'tests.steps.sharded_rules_test', JAX_NUM_CPU_DEVICES='8'
  )
  status, out, err = runs.finish(process)
  assert status == 0, err
  return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize('case', CASES)
def test_eight_devices_train_like_one(results, case):
  (one, _), (eight, parts) = results[case]
  np.testing.assert_allclose(eight, one, rtol=1e-3)
  assert one[-1] < one[0]
  split = {name for name, count in parts.items() if count > 1}
  layer = 'backbone/blocks_0/attn/qkv'
  wanted = {
      'adafactor': (f'params/{layer}/kernel', f'v_col/{layer}/kernel'),
      'muon': (f'params/{layer}/kernel', f'mu/{layer}/kernel'),
      'lora': (f'params/{layer}/kernel', f'mu/{layer}/lora_b'),
  }[case]
  for end in wanted:
    assert any(name.endswith(end) for name in split), end


if __name__ == '__main__':
  main()
