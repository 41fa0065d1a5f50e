"""Reasons to end a run before its last update."""

from collections.abc import Callable, Mapping, Sequence
import math
from typing import Any

from abaw_jax.core import errors
from abaw_jax.distributed import processes
from abaw_jax.tasks import task as task_lib
from abaw_jax.telemetry import journal


def check(config: Mapping[str, Any]) -> None:
  """Raises an InputError if a run can have no evaluation that ends it."""
  if config['early_stop_evals'] and not config['eval_epochs']:
    raise errors.InputError(
        f'config.early_stop_evals={config["early_stop_evals"]}: '
        'config.eval_epochs=0 evaluates only at the end; give the epochs between '
        'two evaluations, such as --config.eval_epochs=1'
    )


def is_exhausted(task: task_lib.Task, log: journal.Journal) -> bool:
  """Returns whether `early_stop_evals` evaluations were not better than before.

  It depends only on the scores in metrics.jsonl, so a run that was killed ends at
  the same step. Process 0 decides for all processes, and prints the reason.

  Args:
    task: of the run.
    log: of the run, with all evaluations so far.
  """
  limit = task.config['early_stop_evals']
  if not limit:
    return False
  step, score, waited = best(log.evaluations(task.score), task.best)
  exhausted = processes.from_first(waited >= limit)
  if exhausted:
    journal.say(
        f'stopping early: no better {task.score} in {waited} evaluations; best '
        f'{score:.4f} at step {step:,} (config.early_stop_evals={limit})'
    )
  return exhausted


def best(
    evaluations: Sequence[tuple[int, float]], direction: str
) -> tuple[int, float, int]:
  """Returns the first step with the best score, the score, and those after it.

  Args:
    evaluations: step and score, in order.
    direction: 'max' or 'min'.

  Returns:
    The step, its score, and the number of evaluations after it; (0, NaN, 0)
    without any.
  """
  if not evaluations:
    return 0, math.nan, 0
  choose = max if direction == 'max' else min
  at, (step, score) = choose(
      enumerate(evaluations), key=lambda found: found[1][1]
  )
  return step, score, len(evaluations) - 1 - at


def check_progress(
    metrics: Mapping[str, float | int],
    config: Mapping[str, Any],
    newest: Callable[[], str],
) -> None:
  """Raises an InputError after too many skipped updates in a row.

  Args:
    metrics: of an update.
    config: of the run.
    newest: returns the path of the newest checkpoint.
  """
  if metrics.get('skipped_in_a_row', 0) >= config['max_bad_steps']:
    raise errors.InputError(
        f'step {metrics["step"]}: {metrics["skipped_in_a_row"]:.0f} updates in '
        'a row had gradients with NaN or Inf and were skipped '
        f'(config.max_bad_steps={config["max_bad_steps"]}); newest good '
        f'checkpoint: {newest()}; lower config.optim.lr or check the data, then '
        'start the same command'
    )
