"""The parameters of a run that has checkpoints."""

from collections.abc import Mapping
import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp

from abaw_jax.checkpoints import runs
from abaw_jax.core import errors, storage_errors
from abaw_jax.distributed import sharding
from abaw_jax.tasks import registry


def load(
    workdir: pathlib.Path, shapes: Any, *, renames: dict[str, str] | None = None
) -> tuple[Any, int]:
  """Returns parameters of a run's best checkpoint, and its step.

  Where no checkpoint has a score, it is the newest.

  Args:
    workdir: folder of the run.
    shapes: nested dict of `jax.ShapeDtypeStruct`s with sharding: what is wanted.
    renames: top-level name in the checkpoint by top-level name wanted, for a
      part of another model; None wants every parameter under its own name.

  Raises:
    InputError: if there is no checkpoint or it cannot be read, or a wanted
      parameter is missing or has another shape, or the checkpoint's part holds
      more than is wanted; all paths are listed.
  """
  task = registry.TASKS[runs.read_config(workdir)['model']['name']]
  directory = workdir.resolve() / 'checkpoints'
  for path in storage_errors.unreadable_scores(directory):
    raise errors.InputError(
        f'{path}: cannot be read; remove {path.parent} to go without this score'
    )
  options = ocp.CheckpointManagerOptions(
      best_fn=lambda scores: value(scores, task.score),
      best_mode=task.best,
      read_only=True,
  )
  with ocp.CheckpointManager(
      directory,
      options=options,
      item_handlers={'params': ocp.PyTreeCheckpointHandler()},
  ) as manager:
    step = manager.best_step()
    if step is None:
      step = manager.latest_step()
    if step is None:
      raise errors.InputError(
          f'{workdir}: holds no finished checkpoint; train it with '
          f'`python -m abaw_jax.train --workdir={workdir} ...`'
      )
    folder = directory / str(step)
    try:
      return read(manager, step, shapes, renames, folder), step
    except storage_errors.ERRORS as e:
      raise errors.InputError(
          f'{folder}: cannot be read ({storage_errors.reason(e)}); move it away to take '
          'the next best checkpoint'
      ) from e


def value(scores: Mapping[str, float], key: str) -> float:
  """Returns the score of a checkpoint by its key.

  Checkpoints that are older than `score` have `P_MTL`, which is the same where
  every task has labels.
  """
  if key == 'score' and key not in scores:
    return scores['P_MTL']
  return scores[key]


def read(
    manager: ocp.CheckpointManager,
    step: int,
    shapes: Any,
    renames: dict[str, str] | None,
    folder: pathlib.Path,
) -> dict[str, Any]:
  """Returns the parameters of a step.

  Args:
    manager: of checkpoints with an item `params`.
    step: of a checkpoint.
    shapes: as in `load`, as is `renames`.
    renames: top-level names.
    folder: of the checkpoint, for messages.

  Raises:
    InputError: as `load`.
    OSError, ValueError: one of damage.FAULTS, if it is damaged.
  """
  if not (folder / 'params').is_dir():
    raise ValueError('there is no folder params')
  metadata = manager.item_metadata(step)['params']
  if metadata is None:
    raise ValueError('params has no metadata')
  stored = metadata.tree
  renames = renames or {name: name for name in shapes | stored}
  have = {new: stored[old] for new, old in renames.items() if old in stored}
  check_same_shapes(have, shapes, folder)
  target = {renames[new]: tree for new, tree in shapes.items()}
  restored = manager.restore(
      step,
      args=ocp.args.Composite(
          params=ocp.args.PyTreeRestore(
              target,
              restore_args=ocp.checkpoint_utils.construct_restore_args(target),
              partial_restore=True,
          )
      ),
  )['params']
  return {new: restored[renames[new]] for new in shapes}


def check_same_shapes(
    have: Any,
    want: Any,
    where: pathlib.Path,
    *,
    kind: str = 'weights of another model',
    fix: str = 'choose the config.model that it was trained with',
) -> None:
  """Raises an InputError that lists every missing, extra or misshapen path.

  Args:
    have: tree of what has shapes, as it is on disk.
    want: tree of what has shapes, as it is needed.
    where: what is on disk.
    kind: what is there if they differ.
    fix: what to do about it.
  """
  have, want = (
      {
          sharding.path_name(path): tuple(leaf.shape)
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
      }
      for tree in (have, want)
  )
  wrong = [f'missing {name}' for name in sorted(want.keys() - have.keys())]
  wrong += [f'extra {name}' for name in sorted(have.keys() - want.keys())]
  wrong += [
      f'{name} is {have[name]}, the model wants {want[name]}'
      for name in sorted(have.keys() & want.keys())
      if have[name] != want[name]
  ]
  if wrong:
    raise errors.InputError(f'{where}: holds {kind}: {"; ".join(wrong)}; {fix}')
