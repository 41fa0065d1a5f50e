"""The runs of a study of which tasks help which: every subset that tells.

Under one root each has a workdir of its own, `<task>+<task>_seed<j>`.
"""

from collections.abc import Sequence
import dataclasses
import itertools
import json
import pathlib

from abaw_jax.core import errors
from abaw_jax.workflow import stages as stage

# Keys that the command sets for each run.
KEYS = ('seed', 'model.tasks', 'model.feedback')

Tasks = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Run:
  """One run: its seed, the tasks that it trains, and its workdir."""

  seed: int
  tasks: Tasks
  workdir: pathlib.Path


def subsets(tasks: Sequence[str]) -> list[Tasks]:
  """Returns each task alone, all pairs, and all tasks together."""
  sizes = sorted({1, min(2, len(tasks)), len(tasks)})
  return [
      subset for size in sizes for subset in itertools.combinations(tasks, size)
  ]


def plan(
    root: pathlib.Path, seeds: Sequence[int], tasks: Sequence[str]
) -> list[Run]:
  """Returns all runs, those of a seed together.

  Raises:
    InputError: if there is no seed, or one is given twice.
  """
  if not seeds or len(set(seeds)) < len(seeds):
    raise errors.InputError(
        f'--seeds={",".join(map(str, seeds))}: give each seed once, such as 0,1,2'
    )
  return [
      Run(seed, subset, root / f'{"+".join(subset)}_seed{seed}')
      for seed in seeds
      for subset in subsets(tasks)
  ]


def check_arguments(arguments: Sequence[str]) -> None:
  """Raises an InputError if one sets a key that is set for each run."""
  for argument in arguments:
    key = argument.lstrip('-').partition('=')[0].removeprefix('config.')
    if key in KEYS:
      raise errors.InputError(f'{argument}: each run has its own; leave it out')


def stages(runs: Sequence[Run], arguments: Sequence[str]) -> list[stage.Stage]:
  """Returns the stages that train all runs, scored once, by their last weights.

  Args:
    runs: as `plan` returns them.
    arguments: flags of `abaw_jax.train` that all have in common.
  """
  return [
      stage.Stage(
          f'train {", ".join(run.tasks)} with seed {run.seed}',
          (
              'abaw_jax.train',
              *arguments,
              f'--config.seed={run.seed}',
              f'--config.model.tasks={",".join(run.tasks)}',
              # Its sources would have to be trained in every run.
              '--config.model.feedback=none',
              '--config.eval_epochs=0',
              '--config.keep_task_bests=False',
              f'--workdir={run.workdir}',
          ),
          run.workdir / 'DONE',
      )
      for run in runs
  ]


def scores(run: Run) -> dict[str, float | int | None]:
  """Returns the scores that a run has ended with; None for NaN."""
  return json.loads((run.workdir / 'DONE').read_text())
