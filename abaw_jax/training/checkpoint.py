"""Checkpoints of a run: state, input position and config, one per step."""

from collections.abc import Mapping
import math
import pathlib
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from abaw_jax import errors
from abaw_jax.training import runs, sharding, steps, tasks


class Checkpoints:
  """The checkpoints of one workdir, under `<workdir>/checkpoints/<step>`.

  Kept are the newest two and the one with the best score. A save that was
  killed half-way is never seen again: Orbax renames a checkpoint when whole.
  """

  def __init__(self, workdir: pathlib.Path, *, score: str, best: str):
    """Opens the checkpoints of `workdir`.

    Args:
      workdir: folder of the run.
      score: key of the score that decides which checkpoint is best.
      best: 'max' or 'min'.
    """
    self.directory = workdir.resolve() / 'checkpoints'
    self._score = score
    policies = checkpoint_managers.AnyPreservationPolicy(
        [
            checkpoint_managers.LatestN(2),
            checkpoint_managers.BestN(
                n=1,
                get_metric_fn=lambda scores: scores[score],
                reverse=best == 'min',
                keep_checkpoints_without_metrics=False,
            ),
        ]
    )
    self._manager = ocp.CheckpointManager(
        self.directory,
        options=ocp.CheckpointManagerOptions(
            best_fn=lambda scores: scores[score],
            best_mode=best,
            preservation_policy=policies,
            cleanup_tmp_directories=True,
        ),
        item_names=('params', 'optimizer', 'data', 'config'),
        item_handlers={'data': grain.checkpoint.CheckpointHandler()},
    )

  def latest_step(self) -> int | None:
    """Returns the newest whole checkpoint's step, None without any."""
    return self._manager.latest_step()

  def save(
      self,
      state: steps.TrainState,
      iterator: grain.DatasetIterator,
      config: Mapping[str, Any],
      scores: dict[str, float] | None,
  ) -> None:
    """Starts to save; arrays are copied before this returns."""
    step = int(state.step)
    if step == self.latest_step():
      return
    if scores is not None and math.isnan(scores[self._score]):
      scores = None  # a task without labels: nothing is better than another
    self._manager.save(
        step,
        args=ocp.args.Composite(
            params=ocp.args.StandardSave(state.params),
            optimizer=ocp.args.StandardSave(
                {'step': state.step, 'opt_state': state.opt_state}
            ),
            data=grain.checkpoint.CheckpointSave(iterator),
            config=ocp.args.JsonSave(dict(config)),
        ),
        metrics=scores,
    )

  def restore(
      self, shapes: steps.TrainState, iterator: grain.DatasetIterator
  ) -> steps.TrainState:
    """Returns the newest state and puts the iterator where it stood.

    Args:
      shapes: the state as `jax.ShapeDtypeStruct`s that carry their sharding.
      iterator: is set to the batch after the last one that was trained on.
    """
    restored = self._manager.restore(
        self.latest_step(),
        args=ocp.args.Composite(
            params=ocp.args.StandardRestore(shapes.params),
            optimizer=ocp.args.StandardRestore(
                {'step': shapes.step, 'opt_state': shapes.opt_state}
            ),
            data=grain.checkpoint.CheckpointRestore(iterator),
        ),
    )
    return steps.TrainState(params=restored['params'], **restored['optimizer'])

  def wait(self) -> None:
    """Returns once the last save is whole."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for the last save, then lets go of the folder."""
    self._manager.wait_until_finished()
    self._manager.close()


def load_params(
    workdir: pathlib.Path, shapes: Any, *, renames: dict[str, str] | None = None
) -> tuple[Any, int]:
  """Returns parameters of a run's best checkpoint, and its step.

  Args:
    workdir: folder of the run.
    shapes: nested dict of `jax.ShapeDtypeStruct`s with sharding: what is wanted.
    renames: top-level name in the checkpoint by top-level name wanted, for a
      part of another model; None wants every parameter under its own name.

  Raises:
    InputError: if there is no checkpoint, or a wanted parameter is missing or
      has another shape, or the checkpoint's part holds more than is wanted; all
      paths are listed.
  """
  task = tasks.TASKS[runs.read_config(workdir)['model']['name']]
  directory = workdir.resolve() / 'checkpoints'
  options = ocp.CheckpointManagerOptions(
      best_fn=lambda scores: scores[task.score],
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
      raise errors.InputError(
          f'{workdir}: holds no finished checkpoint; train it with '
          f'`python -m abaw_jax.train --workdir={workdir} ...`'
      )
    stored = manager.item_metadata(step)['params'].tree
    renames = renames or {name: name for name in shapes | stored}
    have = {new: stored[old] for new, old in renames.items() if old in stored}
    check_same_shapes(have, shapes, directory / str(step))
    target = {renames[new]: tree for new, tree in shapes.items()}
    restored = manager.restore(
        step,
        args=ocp.args.Composite(
            params=ocp.args.PyTreeRestore(
                target,
                restore_args=ocp.checkpoint_utils.construct_restore_args(
                    target
                ),
                partial_restore=True,
            )
        ),
    )['params']
  return {new: restored[renames[new]] for new in shapes}, step


def check_same_shapes(have: Any, want: Any, where: pathlib.Path) -> None:
  """Raises an InputError that lists every missing, extra or misshapen path."""
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
    raise errors.InputError(
        f'{where}: holds weights of another model: {"; ".join(wrong)}; '
        'choose the config.model that it was trained with'
    )
