r"""Trains a config with several values of some keys, and ranks the settings.

  abaw-jax sweep --config=mtl:small --sweep=optim.lr=1e-3,3e-3 \
      --sweep=model.dropout=0,0.3 --seeds=0,1 --num_folds=5 --workdir=runs/sweep

Each combination of the values is a setting. It is trained once for each seed and fold,
as `abaw-jax crossvalidate` does; without folds, the runs train on train and are scored
on validation. Each run is scored once, with its last weights. Values that contain a
comma are separated by `;`: --sweep='data.features=a;a,b'. Run the same command again
after an interruption, or with more values, seeds or random settings: finished runs are
not repeated.

Prints a table with mean and standard deviation of the scores of each setting, the best
one first, and its flags. Writes report.json. The best of many settings is optimistic:
it was chosen on the rows that score it.
"""

import json

from absl import flags

from abaw_jax.core import cli

cli.define_config()
cli.define_workdir('Folder of all runs.', required=True)
cli.define_seeds()
cli.define_folds()
flags.DEFINE_multi_string(
    'sweep',
    None,
    'Config key and its values, such as optim.lr=1e-3,3e-3. Repeat the flag for '
    'each key.',
    required=True,
)
flags.DEFINE_integer(
    'random',
    0,
    'Number of random settings of the grid; 0 = all settings.',
    lower_bound=0,
)


def main() -> None:
  """Trains the runs that have not ended, and reports."""
  from abaw_jax.core import files
  from abaw_jax.reports import sweeps as report
  from abaw_jax.tasks import registry
  from abaw_jax.workflow import procedural, studies, sweeps

  root, args = cli.path('workdir'), flags.FLAGS
  config = args.config.to_dict()
  settings = sweeps.settings(args.config, args.sweep, args.random)
  planned = studies.sweep(root, settings, cli.seeds(), args.num_folds)
  runs = [run for found in planned.values() for run in found]
  studies.check_overrides(runs, cli.config_overrides())
  for run in runs:  # wrong values fail here, before the first run
    task = registry.make_task(run.config(config))
  studies.check_folds(config, task.name, args.num_folds)
  procedural.resolve(config, task.default_data)
  studies.train(runs, config, cli.config_arguments())
  result = report.rank(
      {
          name: [
              json.loads((run.workdir / 'DONE').read_text()) for run in found
          ]
          for name, found in planned.items()
      },
      task.score,
      lowest=task.best == 'min',
  )
  best = planned[result.best]
  flags_of_best = sweeps.flags(settings[result.best])
  names = [str(run.workdir.relative_to(root)) for run in best]
  files.write_json(
      root / studies.REPORT,
      {'runs': names, 'best': flags_of_best} | result.content,
  )
  print('\n'.join([*result.lines, f'best: {" ".join(flags_of_best)}']))


if __name__ == '__main__':
  cli.run(main, __doc__, fills='workdir')
