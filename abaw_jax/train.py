r"""Trains one experiment of configs/, such as mae, frame, mtl, identity or sr.

  abaw-jax train --config=mtl
  abaw-jax train --config=mae:vit_b --workdir=runs/mae \
      --config.data.name=s_aff_wild2 --config.data.dir=DATA_DIR

Without a dataset, this renders the procedural corpus under data/. Without
--workdir, the run is in runs/<config>-<n>. The same command resumes a run that
was interrupted. Every key of the config can be set: --config.optim.lr=1e-4. A
run can have several processes, see docs/scale.md.
"""

import pathlib

from absl import flags

from abaw_jax.core import cli

cli.define_config()
cli.define_workdir('Folder of the run; default: runs/<config>-<n>.')
cli.define_processes()


def main() -> None:
  """Makes the dataset if needed, chooses the workdir, and trains."""
  from abaw_jax.checkpoints import runs
  from abaw_jax.core import config_ranges
  from abaw_jax.cpu import host_memory
  from abaw_jax.distributed import processes
  from abaw_jax.tasks import registry
  from abaw_jax.telemetry import goodput, journal
  from abaw_jax.training import loop
  from abaw_jax.workflow import joint, procedural, stages

  host_memory.keep_freed()
  config = flags.FLAGS.config.to_dict()
  # Wrong values fail here, before a corpus is rendered.
  task = registry.make_task(config)
  groups = joint.groups(config)
  with processes.joined(**cli.processes()):
    if procedural.is_requested(config['data']['name']):
      processes.check_single(
          f'config.data.name={config["data"]["name"]}: only a run with one '
          'process can render it; start one process, or name a built dataset'
      )
    if groups:
      processes.check_single(
          f'config.joint.alone={",".join(groups)}: only a run with one process can '
          'train groups of tasks alone; start one process'
      )
    workdir = cli.path('workdir') or runs.choose_workdir(
        pathlib.Path('runs'), cli.config_name()
    )
    with processes.holding(workdir, inside=True):
      procedural.resolve(config, task.default_data)
      stages.run(joint.stages(config, workdir, cli.config_arguments()))
      config = joint.with_features(config, workdir)
      config = task.complete(config)
      given = cli.config_overrides()
      for line in config_ranges.without_effect(config, given):
        journal.say(line)
      loop.train(config, workdir, elapsed=goodput.process_age(), given=given)


if __name__ == '__main__':
  cli.run(main, __doc__)
