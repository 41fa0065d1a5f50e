"""Studies: several training runs of one config that differ in a few values.

All runs of a study lie under one root, each in a workdir of its own:
`seed<j>` or `fold<i>_seed<j>` in a cross-validation, the same below
`<key>=<value>,<key>=<value>` in a sweep, `<task>+<task>_seed<j>` in a study of task
dependency.
"""

from collections.abc import Iterable, Mapping, Sequence
import copy
import dataclasses
import itertools
import json
from typing import Any

from abaw_jax.checkpoints import runs
from abaw_jax.core import errors, files
from abaw_jax.workflow import joint, stages

REPORT = 'report.json'


@dataclasses.dataclass(frozen=True)
class Run:
  """One run of a study.

  Attributes:
    workdir: folder of the run.
    overrides: config values that the study sets for this run, by their keys.
  """

  workdir: files.Path
  overrides: Mapping[str, Any]

  @property
  def seed(self) -> int:
    """Returns the seed of the run."""
    return self.overrides['seed']

  def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config of this run, given that of the study."""
    own = copy.deepcopy(dict(config))
    for key, value in self.overrides.items():
      *sections, name = key.split('.')
      section = own
      for part in sections:
        section = section[part]
      section[name] = value
    return own


def crossvalidation(
    root: files.Path, seeds: Iterable[int], num_folds: int
) -> list[Run]:
  """Returns a run for each seed and fold, ordered by seed.

  With `num_folds=0` all runs use the official split.

  Raises:
    InputError: if there is only one fold.
  """
  if num_folds == 1:
    raise errors.InputError(
        '--num_folds=1: no video is left to train on; give at least 2, or 0 for '
        'the official split'
    )
  if not num_folds:
    return [Run(root / f'seed{seed}', {'seed': seed}) for seed in seeds]
  return [
      Run(
          root / f'fold{fold}_seed{seed}',
          {'seed': seed, 'data.num_folds': num_folds, 'data.fold': fold},
      )
      for seed in seeds
      for fold in range(num_folds)
  ]


def check_folds(config: Mapping[str, Any], model: str, num_folds: int) -> None:
  """Raises an InputError if the runs of a config cannot be scored.

  Args:
    config: config of the study.
    model: name of its model.
    num_folds: number of folds; 0 = the official split.
  """
  if num_folds and 'num_folds' not in config['data']:
    raise errors.InputError(
        f'--num_folds={num_folds}: a {model} model has no folds; give '
        '--num_folds=0, or a config of a temporal model, such as mtl'
    )
  if config['data'].get('full'):
    raise errors.InputError(
        'config.data.full: trains on the videos that are scored; leave it out'
    )


def sweep(
    root: files.Path,
    settings: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    num_folds: int,
) -> dict[str, list[Run]]:
  """Returns the runs of each setting, by its name; see `crossvalidation`.

  Each run is scored once, with its last weights.

  Raises:
    InputError: there is only one fold, or a setting has a key of the folds.
  """
  once = {'eval_epochs': 0.0, 'keep_task_bests': False}
  planned = {
      name: [
          dataclasses.replace(run, overrides=run.overrides | once)
          for run in crossvalidation(root / name, seeds, num_folds)
      ]
      for name in settings
  }
  for name, values in settings.items():
    for key in values.keys() & planned[name][0].overrides.keys():
      raise errors.InputError(
          f'--sweep={key}: this command sets it for each run; leave it out'
      )
  return {
      name: [
          dataclasses.replace(run, overrides=run.overrides | settings[name])
          for run in found
      ]
      for name, found in planned.items()
  }


def task_dependency(
    root: files.Path, seeds: Iterable[int], tasks: Sequence[str]
) -> dict[tuple[int, tuple[str, ...]], Run]:
  """Returns a run for each seed and subset of tasks, by seed and subset.

  The subsets are each task alone, all pairs, and all tasks together. Each run
  is scored once, with its last weights.
  """
  sizes = sorted({1, min(2, len(tasks)), len(tasks)})
  return {
      (seed, subset): Run(
          root / f'{"+".join(subset)}_seed{seed}',
          {
              'seed': seed,
              'model.tasks': ','.join(subset),
              # Feedback needs source tasks, which not every subset trains.
              'model.feedback': 'none',
              'eval_epochs': 0.0,
              'keep_task_bests': False,
          },
      )
      for seed in seeds
      for size in sizes
      for subset in itertools.combinations(tasks, size)
  }


def train(
    planned: Sequence[Run], config: Mapping[str, Any], arguments: Sequence[str]
) -> None:
  """Trains the runs of a study that have not ended, one after the other.

  Call it before this process uses a device: on some platforms only one process
  can use it.

  Args:
    planned: all runs of the study.
    config: config of the study, its dataset resolved.
    arguments: arguments of `abaw_jax.train` that all runs share.

  Raises:
    InputError: if a run has ended with another config, if its data have changed,
      or if a command fails.
  """
  check_ended(planned, config)
  data = {f'data.{key}': config['data'][key] for key in ('name', 'dir')}
  stages.run(
      [
          stages.Stage(
              f'train {run.workdir.name}',
              (
                  'abaw_jax.train',
                  *arguments,
                  *(
                      f'--config.{key}={value}'
                      for key, value in (data | run.overrides).items()
                  ),
                  f'--workdir={run.workdir}',
              ),
              run.workdir / 'DONE',
          )
          for run in planned
      ]
  )


def check_overrides(planned: Sequence[Run], keys: Iterable[str]) -> None:
  """Raises an InputError if the user sets a key that the study sets itself."""
  for key in keys:
    if key in planned[0].overrides:
      raise errors.InputError(
          f'--config.{key}: this command sets it for each run; leave it out'
      )


def check_ended(planned: Iterable[Run], config: Mapping[str, Any]) -> None:
  """Raises an InputError if a run has other data, or ended with another config."""
  for run in planned:
    own = joint.with_features(run.config(config), run.workdir)
    changes = runs.check(run.workdir, runs.absolute(own))
    runs.check_data(run.workdir, config['data']['dir'])
    if changes and runs.is_done(run.workdir):
      raise errors.InputError(
          f'{run.workdir}: has ended with another config: {"; ".join(changes)}; '
          'choose another --workdir or these settings'
      )


def runs_of(workdir: files.Path) -> list[files.Path]:
  """Returns the workdirs of a cross-validation; for a run, its own workdir.

  Raises:
    InputError: if the report of the cross-validation does not name its runs.
  """
  path = workdir / REPORT
  if not path.is_file():
    return [workdir]
  try:
    return [workdir / name for name in json.loads(path.read_text())['runs']]
  except (ValueError, TypeError, KeyError) as e:
    raise errors.InputError(
        f'{path}: does not name its runs ({e!r}); write it again with `python -m '
        'abaw_jax.crossvalidate`'
    ) from e
