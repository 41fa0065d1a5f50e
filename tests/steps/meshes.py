"""Training on a mesh of some of the devices, and moving it to another mesh.

`python -m tests.steps.meshes FOLDER` runs the moves in `FOLDER/job.json`.
"""

from collections.abc import Mapping
import hashlib
import json
import pathlib
import sys
from typing import Any

from absl import flags
import jax
import numpy as np

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.checkpoints import parameters
from abaw_jax.distributed import sharding
from abaw_jax.steps import optimization, skipping, steps
from abaw_jax.tasks import inputs, registry


class Training:
  """The same training as in the loop, on selected devices."""

  def __init__(
      self,
      config: Mapping[str, Any],
      devices: int = 1,
      zero: int = 1,
      fsdp: int = 1,
  ):
    """Prepares training on the first `devices` devices."""
    self.mesh = sharding.make_mesh(
        fsdp=fsdp, zero=zero, devices=jax.devices()[:devices]
    )
    source = registry.make_task(config).source('train')
    task = registry.make_task(config)
    schedule = optimization.make_schedule(config, total_steps=9, warmup_steps=0)
    optimizer = skipping.skip_non_finite(
        optimization.make_optimizer(task, schedule)
    )
    self.batches = inputs.train_batches(registry.make_task(config), source)
    with jax.set_mesh(self.mesh):
      self._init, self.shapes = steps.jit_init(
          task,
          optimizer,
          self.mesh,
          inputs.example(registry.make_task(config), source),
      )
    self._step = steps.jit_train_step(
        task, optimizer, self.mesh, self.shapes, seed=0
    )

  def start(self) -> None:
    """Initialises the state."""
    with jax.set_mesh(self.mesh):
      self.state = self._init(jax.random.key(0))
    self.batches.set_state({'next_batch': 0})

  def update(self, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Runs one update; returns its scalars."""
    with jax.set_mesh(self.mesh):
      batch = sharding.to_devices(batch, sharding.over_batch(self.mesh))
      self.state, metrics = self._step(self.state, batch)
    return jax.device_get(metrics)

  def run(self, count: int) -> list[float]:
    """Runs `count` updates; returns their losses."""
    return [
        float(self.update(next(self.batches))['loss']) for _ in range(count)
    ]

  def save(self, workdir: pathlib.Path) -> None:
    """Saves the state."""
    checkpoints = checkpoint.Checkpoints(workdir, score='P_MTL', best='max')
    checkpoints.save(self.state, self.batches, {}, None)
    checkpoints.close()

  def restore(self, workdir: pathlib.Path) -> None:
    """Restores the newest state in a workdir."""
    checkpoints = checkpoint.Checkpoints(workdir, score='P_MTL', best='max')
    try:
      self.state = checkpoints.restore(self.shapes, self.batches)
    finally:
      checkpoints.close()


def restored(config: Mapping[str, Any], workdir: pathlib.Path) -> list[Any]:
  """Returns the arrays of the newest saved state of a run."""
  training = Training(config)
  training.restore(workdir)
  training.batches.close()
  return list(map(np.array, jax.tree.leaves(training.state)))


def digests(tree: Any) -> dict[str, str]:
  """Returns a checksum of every array, by its path."""
  return {
      sharding.path_name(path): hashlib.sha256(
          np.asarray(leaf).tobytes()
      ).hexdigest()
      for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def move(first, second, workdir, counts) -> dict[str, Any]:
  """Trains on one mesh, resumes on another; returns the differences."""
  before, after = counts
  first.start()
  first.run(before)
  first.save(workdir)
  saved = digests(first.state)
  second.restore(workdir)
  found = digests(second.state)
  shares = {
      sharding.path_name(path): leaf.addressable_shards[0].data.size / leaf.size
      for path, leaf in jax.tree_util.tree_leaves_with_path(second.state)
      if sharding.path_name(path).endswith('qkv/kernel')
  }
  return {
      'leaves': len(saved),
      'digests': saved,
      'differing': [name for name in saved if found.get(name) != saved[name]],
      'shares': shares,
      'unmoved': first.run(after),
      'losses': second.run(after),
  }


def main(folder: str) -> None:
  """Runs the moves of a job, and loads the parameters of its workdir."""
  root = pathlib.Path(folder)
  job = json.loads((root / 'job.json').read_text())
  config = job['config']
  config['model']['hidden_dims'] = tuple(config['model']['hidden_dims'])
  meshes = {tuple(mesh) for pair in job['moves'].values() for mesh in pair}
  trainings = {mesh: Training(config, *mesh) for mesh in meshes}
  done = {
      name: move(
          *(trainings[tuple(mesh)] for mesh in pair), root / name, job['counts']
      )
      for name, pair in job['moves'].items()
  }
  shapes = trainings[8, 2, 2].shapes.params
  params, _ = parameters.load(pathlib.Path(job['here']), shapes)
  done['started'] = digests(params)
  (root / 'done.json').write_text(json.dumps(done))
  for training in trainings.values():
    training.batches.close()


if __name__ == '__main__':
  flags.FLAGS.mark_as_parsed()
  main(*sys.argv[1:])
