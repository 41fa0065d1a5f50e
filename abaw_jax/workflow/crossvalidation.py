"""The runs of a cross-validation: every fold and every seed of a config.

Under one root each has a workdir of its own, `fold<i>_seed<j>`, or `seed<j>` where
all take the official split. `report.json` there names them, once they have ended.
"""

from collections.abc import Sequence
import dataclasses
import json
import pathlib

from abaw_jax.core import errors
from abaw_jax.workflow import stages as stage

REPORT = 'report.json'
# Keys that the command sets for each run.
KEYS = ('seed', 'data.num_folds', 'data.fold')


@dataclasses.dataclass(frozen=True)
class Run:
  """One run: its seed, the fold that it leaves out, and its workdir."""

  seed: int
  fold: int | None  # None: of the official split
  workdir: pathlib.Path


def plan(root: pathlib.Path, seeds: Sequence[int], num_folds: int) -> list[Run]:
  """Returns all runs, those of a seed together, by fold.

  Raises:
    InputError: if there is no seed, one is given twice, or there is one fold.
  """
  if not seeds or len(set(seeds)) < len(seeds):
    raise errors.InputError(
        f'--seeds={",".join(map(str, seeds))}: give each seed once, such as 0,1,2'
    )
  if num_folds == 1:
    raise errors.InputError(
        '--num_folds=1: nothing is left to train on; give at least 2, or 0 for '
        'the official split'
    )
  return [
      Run(seed, fold, root / (f'seed{seed}' if fold is None else name))
      for seed in seeds
      for fold in (range(num_folds) if num_folds else (None,))
      for name in [f'fold{fold}_seed{seed}']
  ]


def check_arguments(arguments: Sequence[str]) -> None:
  """Raises an InputError if one sets a key that is set for each run."""
  for argument in arguments:
    key = argument.lstrip('-').partition('=')[0].removeprefix('config.')
    if key in KEYS:
      raise errors.InputError(
          f'{argument}: each run has its own; give --seeds and --num_folds'
      )


def stages(
    runs: Sequence[Run], arguments: Sequence[str], num_folds: int
) -> list[stage.Stage]:
  """Returns the stages that train all runs.

  Args:
    runs: as `plan` returns them.
    arguments: flags of `abaw_jax.train` that all have in common.
    num_folds: as it was planned with.
  """
  return [
      stage.Stage(
          f'train {run.workdir.name}',
          (
              'abaw_jax.train',
              *arguments,
              f'--config.seed={run.seed}',
              *_fold(run.fold, num_folds),
              f'--workdir={run.workdir}',
          ),
          run.workdir / 'DONE',
      )
      for run in runs
  ]


def runs_of(workdir: pathlib.Path) -> list[pathlib.Path]:
  """Returns the runs of a cross-validation, by seed and fold; else the folder.

  Raises:
    InputError: if its report does not name them.
  """
  path = workdir / REPORT
  if not path.is_file():
    return [workdir]
  try:
    return [workdir / name for name in json.loads(path.read_text())['runs']]
  except (ValueError, TypeError, KeyError) as e:
    raise errors.InputError(
        f'{path}: it does not name runs ({e!r}); let `python -m '
        'abaw_jax.crossvalidate` write it again'
    ) from e


def _fold(fold: int | None, num_folds: int) -> tuple[str, ...]:
  if fold is None:
    return ()
  return f'--config.data.num_folds={num_folds}', f'--config.data.fold={fold}'
