"""`python -m tests.training.witness train ...`: a command that logs its reads.

Every training window that is read becomes a line of the file $WITNESS. Every
shard of features that is written becomes a line of that file with the suffix
`.shards`. `stages` in place of `train` trains, evaluates, predicts and extracts as
one of several processes.
"""

import contextlib
import json
import os
import pathlib
import sys

from abaw_jax.core import cli, files
from abaw_jax.sequences import feature_datasets, windows


def note(path: pathlib.Path) -> None:
  """Makes each read of a window and each written shard add a line."""
  read, read_batch, write = (
      windows.Windows.__getitem__,
      windows.Windows.batch,
      feature_datasets.FeatureWriter.write,
  )

  def add(source, indices):
    if ' train,' in repr(source):
      with path.open('a') as file:
        file.writelines(f'{index}\n' for index in indices)

  def noted_read(self, index):
    add(self, [index])
    return read(self, index)

  def noted_batch(self, indices, *, rows):
    found = read_batch(self, indices, rows=rows)
    if found is not None:
      add(self, indices)
    return found

  def noted_write(self, shard, records):
    write(self, shard, records)
    with path.with_suffix('.shards').open('a') as file:
      file.write(f'{shard.path.name}\n')

  windows.Windows.__getitem__ = noted_read
  windows.Windows.batch = noted_batch
  feature_datasets.FeatureWriter.write = noted_write


def check_order_of_rows() -> None:
  """Checks predictions where the devices of a process are no neighbors."""
  import jax
  import numpy as np

  from abaw_jax.distributed import sharding
  from abaw_jax.inference import prediction

  devices = np.array(jax.devices())[[0, 2, 1, 3]].reshape(-1, 1, 1)
  axes = sharding.make_mesh(fsdp=1).axis_names
  mesh = jax.sharding.Mesh(devices, axes)
  rows = np.split(np.arange(8), jax.process_count())[jax.process_index()]
  step = jax.jit(lambda _, x: x, out_shardings=sharding.replicated(mesh))
  batch = {'row': rows, 'real': rows < 7}
  found = prediction.predict_rows(step, None, [batch], mesh)
  np.testing.assert_array_equal(found['row'], np.arange(7))


def stages(text: str) -> None:
  """Trains, evaluates, predicts and extracts; `text` is the job, a JSON object."""
  job = json.loads(text)
  workdir = job['workdir']
  from abaw_jax import predict_split  # defines flags

  sys.argv += [f'--workdir={workdir}', f'--table={workdir}/test.csv']

  def main():
    from abaw_jax.distributed import processes
    from abaw_jax.inference import evaluation, extraction
    from abaw_jax.training import loop

    with processes.joined(**job['processes']):
      check_order_of_rows()
      loop.train(job['config'], files.path(workdir))
      evaluation.evaluate(files.path(workdir), 'validation')
      # A process can join others only once.
      processes.joined = lambda **_: contextlib.nullcontext()
      predict_split.main()
      extraction.extract(
          init_from=pathlib.Path(job['backbone']),
          data_dir=pathlib.Path(job['data_dir']),
          dataset='s_aff_wild2',
          name=job['name'],
          batch_size=32,
      )

  cli.run(main, __doc__)


if __name__ == '__main__':
  from abaw_jax.distributed import processes

  processes._HEARTBEAT_S = 20  # the others notice a killed process sooner
  note(pathlib.Path(os.environ['WITNESS']))
  what = sys.argv.pop(1)
  if what == 'stages':
    stages(sys.argv.pop(1))
  else:
    from abaw_jax import train

    cli.run(train.main, train.__doc__)
