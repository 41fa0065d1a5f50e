"""A small training that ends in a chosen way.

It saves every five updates. At the point of its kill, it prints `hanging` and waits
for the signal. `python -m tests.checkpoints.deaths JOBS` runs several at once and
prints the (status, stdout, stderr) of each as JSON. They are forks of one process
that has imported the libraries; JOBS is a JSON list of (way, workdir, number of
worker processes, signal or null).
"""

import functools
import importlib
import itertools
import json
import os
import pathlib
import resource
import signal
import sys
import threading
import time

from absl import flags
import jax
import numpy as np
import optax

# Private, because the test stops a save at its inner steps.
from orbax.checkpoint._src.path import atomicity, deleter

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.core import errors
from abaw_jax.data import pipeline
from abaw_jax.distributed import preemption, sharding
from abaw_jax.steps import skipping, steps
from tests.data import numbers
from tests.steps import toy_task

EXAMPLES = 37  # 1,000 ids are many epochs
BATCH = 8
EVERY = 5
FATAL = 3 * EVERY  # step of the save that is killed

# Name of a kill -> method of Orbax that hangs in the fatal save. Other names
# are `killed`, `SIGTERM` and `SIGHUP`, two updates later, and `full disk`.
POINTS = {
    'before any file': (atomicity.AtomicRenameTemporaryPath, 'create'),
    'when arrays are written': (
        atomicity.AtomicRenameTemporaryPath,
        'finalize',
    ),
    'before the last rename': (atomicity.AtomicRenameTemporaryPath, 'finalize'),
    'while an old one is removed': (
        deleter.StandardCheckpointDeleter,
        'delete',
    ),
}


class Line(toy_task.ToyTask):
  """Fits y = w x."""

  def init(self, key, batch):
    del batch
    return {'w': jax.random.normal(key, (64, 64))}

  def loss(self, params, batch, key):
    del key
    x = batch['row'].astype(np.float32)
    loss = ((params['w'].sum() * x - 1.0) ** 2).mean()
    return loss, {'loss': loss}

  def predict(self, params, batch):
    return {'y': params['w'].sum() * batch['row']}


def number(examples, *, rows):
  """Returns a batch of row ids."""
  found = (example['number'] for example in examples)
  return {'row': np.fromiter(found, np.int32, rows)}


def batches(num_workers: int):
  """Returns the iterator of the training."""
  return pipeline.train_batches(
      numbers.Numbers(EXAMPLES),
      number,
      batch_size=BATCH,
      seed=3,
      num_workers=num_workers,
  )


def ids(iterator, count: int) -> list[int]:
  """Returns the next row ids."""
  rows = []
  while len(rows) < count:
    rows += next(iterator)['row'].tolist()
  return rows[:count]


@functools.cache
def _compiled():
  """Returns (function from a key to a state, shapes of the state, step)."""
  mesh = sharding.make_mesh(fsdp=1)
  optimizer = skipping.skip_non_finite(optax.adam(1e-3))
  example = {'row': np.zeros(BATCH, np.int32)}
  init, shapes = steps.jit_init(Line(), optimizer, mesh, example)
  step = steps.jit_train_step(Line(), optimizer, mesh, shapes, seed=0)
  return init, shapes, step


def make():
  """Returns (new state, its shapes, step) on all devices."""
  init, shapes, step = _compiled()
  return init(jax.random.key(0)), shapes, step


def open_checkpoints(workdir: pathlib.Path) -> checkpoint.Checkpoints:
  """Returns the checkpoints of the training."""
  return checkpoint.Checkpoints(workdir, score='loss', best='min')


def hang_in(way: str) -> None:
  """Makes the next save hang at a point."""
  owner, name = POINTS[way]
  original = getattr(owner, name)

  def hang():
    print('hanging', flush=True)
    threading.Event().wait()

  async def instead(self, *args):
    final = self.get_final().name
    if way == 'before the last rename' and not final.isdecimal():
      return await original(self, *args)
    return hang()

  def delete(self, step):
    folder = pathlib.Path(self._directory) / str(step)
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    for path in files[: len(files) // 2]:
      path.unlink()
    hang()

  setattr(owner, name, delete if name == 'delete' else instead)


def train(way: str, workdir: str, num_workers: int) -> None:
  """Trains until the chosen end."""
  state, _, step = make()
  checkpoints = open_checkpoints(pathlib.Path(workdir))
  iterator = batches(num_workers)
  try:
    with preemption.Notice() as stop:
      for done in itertools.count(1):
        state, _ = step(state, next(iterator))
        if done == FATAL:
          checkpoints.wait()
          if way in POINTS:
            hang_in(way)
          elif way == 'full disk':
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        if stop.received or done % EVERY == 0:
          checkpoints.save(state, iterator, {}, None)
        if stop.received:
          checkpoints.close()
          return
        if done == FATAL + 2 and way in ('killed', 'SIGTERM', 'SIGHUP'):
          checkpoints.wait()
          print('hanging', flush=True)
          while not stop.received:
            time.sleep(0.01)
  except errors.InputError as e:
    print(f'error: {e}', file=sys.stderr)
    sys.exit(2)


def finish(child: int, number: int | None, out, error) -> tuple[int, str, str]:
  """Returns (status, stdout, stderr) of a process, which gets the signal."""
  first = ''
  if number is not None:
    first = out.readline()
    os.kill(child, number)
  texts = first + out.read(), error.read()
  _, status = os.waitpid(child, 0)
  return os.waitstatus_to_exitcode(status), *texts


def main(jobs: str) -> None:
  """Runs the jobs; a fork returns at the end of its training."""
  started = []
  for way, workdir, num_workers, number in json.loads(jobs):
    pipes = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
      signal.alarm(120)  # so that the test cannot hang
      for stream, (_, end) in zip((1, 2), pipes, strict=True):
        os.dup2(end, stream)
      train(way, workdir, num_workers)
      return
    for _, end in pipes:
      os.close(end)
    started.append((child, number, *(os.fdopen(start) for start, _ in pipes)))
  print(json.dumps([finish(*each) for each in started]))


if __name__ == '__main__':
  flags.FLAGS.mark_as_parsed()  # for Grain's workers, which read flags
  # Imported by name, because workers would run `__main__` again.
  importlib.import_module('tests.checkpoints.deaths').main(*sys.argv[1:])
