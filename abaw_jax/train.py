r"""Trains one experiment: MAE pretraining, the frame model or the temporal model.

  python -m abaw_jax.train --config=configs/mtl.py
  python -m abaw_jax.train --config=configs/mae.py:vit_b --workdir=runs/mae \
      --config.data.name=s_aff_wild2 --config.data.dir=DATA_DIR

Without a dataset the procedural corpus is made under data/; without --workdir
the run lives in runs/<config>-<n>. The same command resumes a run that was
interrupted. Any key of the config can be set: --config.optim.lr=1e-4. Several
processes train as one, see docs/scale.md.
"""

import pathlib

from absl import flags

from abaw_jax.core import cli

cli.define_config()
cli.define_workdir('Folder of the run; default: runs/<config>-<n>.')
cli.define_processes()


def main() -> None:
  """Resolves the dataset and the workdir, then trains."""
  from abaw_jax.checkpoints import runs
  from abaw_jax.cpu import host_memory
  from abaw_jax.distributed import processes
  from abaw_jax.tasks import inputs, registry
  from abaw_jax.telemetry import goodput
  from abaw_jax.training import loop
  from abaw_jax.workflow import procedural

  host_memory.keep_freed()
  config = flags.FLAGS.config.to_dict()
  registry.make_task(config)  # a wrong name fails before a corpus is rendered
  with processes.joined(**cli.processes()):
    if procedural.is_asked_for(config['data']['name']):
      processes.check_single(
          f'config.data.name={config["data"]["name"]} is rendered by one '
          'process; start this command in one, or name a built dataset'
      )
    procedural.resolve(config)
    inputs.fill_classes(config)
    workdir = flags.FLAGS.workdir
    if workdir is None:
      workdir = runs.choose_workdir(pathlib.Path('runs'), cli.config_name())
    loop.train(config, pathlib.Path(workdir), elapsed=goodput.process_age())


if __name__ == '__main__':
  cli.run(main, __doc__)
