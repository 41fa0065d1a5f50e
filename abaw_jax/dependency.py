r"""Finds out which tasks help which: trains them alone, in pairs and together.

  python -m abaw_jax.dependency --config=configs/mtl.py:small --seeds=0,1 \
      --workdir=runs/dependency

Each task alone, all six pairs and all four, for every seed: eleven runs, which are
scored once, by their last weights, on the validation split. Labels are fed to no
task. The same command goes on after an interruption: runs that have ended are not
repeated.

Prints the scores alone and what each task gains from the company of another, in
points (hundredths of CCC or F1), with mean and spread over seeds. Writes table.md,
report.json and heat_map.png: blue where the task of the column gains from the task
of the row, red where it loses.
"""

import pathlib

from absl import flags

from abaw_jax.core import cli, errors


def _define_flags() -> None:
  """Defines the flags; not at import, where other commands have theirs."""
  cli.define_config()
  cli.define_workdir('Folder of all runs.', required=True)
  flags.DEFINE_list('seeds', ['0'], 'Seeds of the runs.')


def main() -> None:
  """Trains what is not trained yet, and reports."""
  from abaw_jax.reports import task_dependency
  from abaw_jax.workflow import dependencies, procedural, stages

  args = flags.FLAGS
  root = pathlib.Path(args.workdir)
  config = args.config.to_dict()
  arguments = cli.config_arguments()
  dependencies.check_arguments(arguments)
  planned = dependencies.plan(
      root, _seeds(args.seeds), tuple(task_dependency.SCORES)
  )
  if config['model']['name'] != 'temporal':
    raise errors.InputError(
        f'config.model.name={config["model"]["name"]}: trains all of its tasks; '
        'take a config of a temporal model, such as configs/mtl.py:small'
    )
  procedural.resolve(config)
  data = config['data']
  arguments += [
      f'--config.data.name={data["name"]}', f'--config.data.dir={data["dir"]}'
  ]  # fmt: skip
  # Before this process touches a device: one is not shared on every platform.
  stages.run(dependencies.stages(planned, arguments))
  report(root, planned)


def report(root: pathlib.Path, planned) -> None:
  """Writes and says what the runs have found."""
  from abaw_jax.core import files
  from abaw_jax.reports import task_dependency
  from abaw_jax.telemetry import grid
  from abaw_jax.training import heat_map
  from abaw_jax.workflow import dependencies

  scores: dict[int, dict] = {}
  for run in planned:
    scores.setdefault(run.seed, {})[run.tasks] = dependencies.scores(run)
  found = task_dependency.gains(
      list(scores.values()), tuple(task_dependency.SCORES)
  )
  lines = found.table()
  files.write(root / 'table.md', '\n'.join(lines) + '\n')
  files.write_json(
      root / 'report.json', {'seeds': list(scores)} | found.as_json()
  )
  image = heat_map.draw(
      found.mean,
      found.std,
      rows=found.rows,
      columns=found.tasks,
      title=f'gain in points over training alone, {len(scores)} seed(s)',
  )
  path = root / 'heat_map.png'
  files.write(path, grid.encode_png(image))
  print('\n'.join([*lines, f'heat map: {path}']))


def _seeds(texts: list[str]) -> list[int]:
  if not all(text.strip().isdecimal() for text in texts):
    raise errors.InputError(
        f'--seeds={",".join(texts)}: give whole numbers, such as 0,1,2'
    )
  return [int(text) for text in texts]


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
