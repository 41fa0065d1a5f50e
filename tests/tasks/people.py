"""Identity training on meshes of one and of eight devices.

`python -m tests.tasks.people` prints the comparison as JSON.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.configs import identity
from abaw_jax.distributed import sharding
from abaw_jax.steps import optimization, skipping, steps
from abaw_jax.tasks import registry

PEOPLE, BATCH, SIZE = 1200, 24, 32
COLUMNS, DIM = 1280, 64
AUGMENT = {
    'crop_scale': 0.5,
    'jitter': (0.4, 0.4, 0.4, 0.1),
    'rand_ops': 2,
    'erase': 0.5,
}


def make_config() -> dict:
  """Returns the smoke config with a tiny ViT, which compiles fast."""
  config = identity.get_config('smoke').to_dict()
  config['model'] = {
      'name': 'identity',
      'num_classes': PEOPLE,
      'head': 'cosine',
      'backbone': '',
      'dim': DIM,
      'depth': 1,
      'num_heads': 2,
      'image_size': SIZE,
      'patch_size': 16,
      'positions': 'sincos',
      'drop_path': 0.0,
      'remat': 'none',
      'scan': False,
      'dtype': 'float32',
  }
  # A larger eps: else Adam scales rounding errors of gradients to full steps.
  config['optim']['eps'] = 1e-3
  return config


def make_batch() -> dict[str, np.ndarray]:
  """Returns images of noise, with random people."""
  rng = np.random.default_rng(0)
  shape = (BATCH, SIZE, SIZE, 3)
  return {
      'image': rng.integers(0, 256, shape, dtype=np.uint8),
      'identity': rng.integers(0, PEOPLE, BATCH, dtype=np.int32),
      'real': np.ones(BATCH, bool),
  }


def augmented(devices: int) -> tuple[np.ndarray, str]:
  """Returns images after all augmentations, and the program that made them."""
  config = make_config()
  config['augment'] |= AUGMENT
  mesh = sharding.make_mesh(fsdp=1, devices=jax.devices()[:devices])
  split = sharding.over_batch(mesh)
  train = jax.jit(
      registry.make_task(config).augmentation.train,
      in_shardings=(sharding.replicated(mesh), split),
      out_shardings=split,
  )
  images = jnp.asarray(make_batch()['image'])
  train = train.lower(jax.random.key(0), images).compile()
  out = train(
      jax.device_put(jax.random.key(0), sharding.replicated(mesh)),
      jax.device_put(images, split),
  )
  return np.asarray(out), train.as_text()


def leaves(tree) -> dict[str, np.ndarray]:
  """Returns the arrays of a tree by path."""
  return {
      sharding.path_name(path): np.asarray(leaf)
      for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def train(devices: int, fsdp: int) -> tuple[dict, dict]:
  """Returns (arrays after an update, facts about the compiled program)."""
  config = make_config()
  task = registry.make_task(config)
  mesh = sharding.make_mesh(fsdp=fsdp, devices=jax.devices()[:devices])
  schedule = optimization.make_schedule(config, total_steps=9, warmup_steps=0)
  optimizer = skipping.skip_non_finite(
      optimization.make_optimizer(task, schedule)
  )
  with jax.set_mesh(mesh):
    example = jax.tree.map(lambda x: jnp.zeros_like(x[:1]), make_batch())
    init, shapes = steps.jit_init(task, optimizer, mesh, example)
    state = init(jax.random.key(0))
    shares = {
        path: leaf.addressable_shards[0].data.size / leaf.size
        for path, leaf in (
            (sharding.path_name(path), leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        )
        if 'classes' in path
    }
    batch = sharding.to_devices(make_batch(), sharding.over_batch(mesh))
    rows = jax.device_get(
        steps.jit_predict_step(task, mesh)(state.params, batch)
    )
    step = steps.jit_train_step(
        task,
        optimizer,
        mesh,
        shapes,
        **optimization.step_options(config),
    )
    step = step.lower(state, batch).compile()
    program = step.as_text()
    memory = step.memory_analysis().temp_size_in_bytes
    state, metrics = step(state, batch)
  arrays = leaves(state.params) | leaves(jax.device_get(metrics)) | rows
  return arrays, {'shares': shares, 'program': program, 'memory': memory}


def main() -> None:
  """Trains on both meshes and prints the differences."""
  one, alone = train(1, 1)
  eight, split = train(8, 2)
  wrong = {
      name: float(np.abs(one[name] - eight[name]).max())
      for name in one
      if not np.allclose(one[name], eight[name], rtol=1e-4, atol=1e-5)
  }
  images, _ = augmented(1)
  images_split, program = augmented(8)
  sizes = {
      'logits': f'f32[{BATCH},{COLUMNS}]',
      'logits_part': f'f32[{BATCH},{COLUMNS // 8}]',
      'classes': f'f32[{DIM},{COLUMNS}]',
      'classes_part': f'f32[{DIM},{COLUMNS // 8}]',
  }
  print(
      json.dumps(
          {
              'names': sorted(one),
              'wrong': wrong,
              'loss': float(one['loss']),
              'shares': split['shares'],
              'sent': [
                  line.strip()
                  for line in split['program'].splitlines()
                  if ' all-' in line and sizes['classes_part'] in line
              ],
              'moved_pixels': float(
                  np.mean(np.abs(images - images_split) > 1e-4)
              ),
              'gathers_images': 'all-gather' in program,
              'memory': [alone['memory'], split['memory']],
              'in_one': [k for k, v in sizes.items() if v in alone['program']],
              'in_eight': [
                  k for k, v in sizes.items() if v in split['program']
              ],
          }
      )
  )


if __name__ == '__main__':
  main()
