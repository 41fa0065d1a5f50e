r"""Shows which task helps which: trains tasks alone, in pairs and all together.

  abaw-jax dependency --config=mtl:small --seeds=0,1 --workdir=runs/dependency

For every seed this trains eleven runs: each of the four tasks alone, all six pairs,
and all four. Each run is scored once, with its last weights, on the validation
split. Feedback between tasks is off. Run the same command again after an
interruption: finished runs are not repeated.

Prints a table with the scores of each task alone, and the change of its score when
another task is trained with it, in points (hundredths of CCC or F1), with mean and
standard deviation over seeds. Writes table.md and report.json.
"""

import json

from absl import flags

from abaw_jax.core import cli, errors, files

cli.define_config()
cli.define_workdir('Folder of all runs.', required=True)
cli.define_seeds()


def main() -> None:
  """Trains the runs that have not ended, and reports."""
  from abaw_jax.reports import task_dependency
  from abaw_jax.tasks import registry
  from abaw_jax.workflow import procedural, studies

  root = cli.path('workdir')
  config = flags.FLAGS.config.to_dict()
  planned = studies.task_dependency(
      root, cli.seeds(), tuple(task_dependency.SCORES)
  )
  runs = list(planned.values())
  studies.check_overrides(runs, cli.config_overrides())
  task = registry.task_class(config | {'seed': max(cli.seeds())})
  if 'tasks' not in config['model']:
    raise errors.InputError(
        f'config.model.name={task.name}: always trains all of its '
        'tasks; use a config of a temporal model, such as mtl:small'
    )
  procedural.resolve(config, task.default_data)
  studies.train(runs, config, cli.config_arguments())
  report(root, planned)


def report(root: files.Path, planned) -> None:
  """Writes and prints the gains between tasks.

  Args:
    root: folder of all runs.
    planned: ended runs, as `studies.task_dependency` returns them.
  """
  from abaw_jax.reports import task_dependency

  scores: dict[int, dict] = {}
  for (seed, tasks), run in planned.items():
    ended = json.loads((run.workdir / 'DONE').read_text())
    scores.setdefault(seed, {})[tasks] = ended
  found = task_dependency.gains(
      list(scores.values()), tuple(task_dependency.SCORES)
  )
  lines = found.table()
  files.write(root / 'table.md', '\n'.join(lines) + '\n')
  files.write_json(
      root / 'report.json', {'seeds': list(scores)} | found.as_json()
  )
  print('\n'.join(lines))


if __name__ == '__main__':
  cli.run(main, __doc__, fills='workdir')
