"""Checkpoints of a run: state, input position and config, one per step."""

from collections.abc import Mapping
import math
import pathlib
import shutil
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from abaw_jax.checkpoints import parameters
from abaw_jax.core import errors, storage_errors
from abaw_jax.distributed import sharding
from abaw_jax.steps import steps


class Checkpoints:
  """The checkpoints of one workdir, under `<workdir>/checkpoints/<step>`.

  Kept are the newest two and the one with the best score. Item `params` holds
  what the run is worth, `optimizer` what training goes on with besides. A save that was
  killed half-way is never seen again: Orbax renames a checkpoint when whole.
  Nor is a state with NaN or Inf ever saved.
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
    self._num_bytes = 0  # of the last state that was to be saved
    for path in storage_errors.unreadable_scores(self.directory):
      _say(f'{path}: cannot be read; this checkpoint has no score now')
      shutil.rmtree(path.parent, ignore_errors=True)
    policies = checkpoint_managers.AnyPreservationPolicy(
        [
            checkpoint_managers.LatestN(2),
            checkpoint_managers.BestN(
                n=1,
                get_metric_fn=lambda scores: parameters.value(scores, score),
                reverse=best == 'min',
                keep_checkpoints_without_metrics=False,
            ),
        ]
    )
    self._manager = ocp.CheckpointManager(
        self.directory,
        options=ocp.CheckpointManagerOptions(
            best_fn=lambda scores: parameters.value(scores, score),
            best_mode=best,
            preservation_policy=policies,
            cleanup_tmp_directories=True,
        ),
        item_names=('params', 'optimizer', 'data', 'config'),
        item_handlers={
            'params': ocp.StandardCheckpointHandler(),
            'optimizer': ocp.StandardCheckpointHandler(),
            'data': ocp.JsonCheckpointHandler(),
            'config': ocp.JsonCheckpointHandler(),
        },
    )

  def latest_step(self) -> int | None:
    """Returns the newest whole checkpoint's step, None without any."""
    self.wait()
    return self._manager.latest_step()

  def newest(self) -> str:
    """Returns where the newest whole checkpoint is, for a message."""
    step = self.latest_step()
    return 'none' if step is None else str(self.directory / str(step))

  def best(self) -> tuple[int | None, float]:
    """Returns (step, score) of the best whole checkpoint; (None, NaN) of none."""
    self.wait()
    step = self._manager.best_step()
    scores = None if step is None else self._manager.metrics(step)
    if not scores:
      return None, math.nan
    return step, parameters.value(scores, self._score)

  def save(
      self,
      state: steps.TrainState,
      iterator: grain.DatasetIterator,
      config: Mapping[str, Any],
      scores: dict[str, float] | None,
  ) -> None:
    """Starts to save; arrays are copied before this returns.

    Raises:
      InputError: if the state holds NaN or Inf, or if this save or the one
        before cannot be written, for want of room, say.
    """
    step = int(state.step)
    if step == self._manager.latest_step():
      return
    self._check_finite(state)
    if scores is not None and math.isnan(scores[self._score]):
      scores = None  # a task without labels: nothing is better than another
    self._num_bytes = sum(x.nbytes for x in jax.tree.leaves(state))
    items = {
        name: ocp.args.StandardSave(tree)
        for name, tree in _arrays(state).items()
    }
    with self._writing():
      self._manager.save(
          step,
          args=ocp.args.Composite(
              # One number for all processes, however many go on from it.
              data=ocp.args.JsonSave(iterator.get_state()),
              config=ocp.args.JsonSave(dict(config)),
              **items,
          ),
          metrics=scores,
      )

  def restore(
      self, shapes: steps.TrainState, iterator: grain.DatasetIterator
  ) -> steps.TrainState:
    """Returns the newest state that can be read, its iterator where it stood.

    A newer checkpoint that cannot, because a crash of the machine has left its
    files empty, is said and renamed to `<step>.unreadable`. With several
    processes that is left to a person: one alone cannot speak for all.

    Args:
      shapes: the state as `jax.ShapeDtypeStruct`s that carry their sharding.
      iterator: is set to the batch after the last one that was trained on.

    Raises:
      InputError: if the checkpoint is of another model or optimiser, or none
        can be read.
    """
    unreadable: dict[int, Exception] = {}
    for step in sorted(self._manager.all_steps(), reverse=True):
      try:
        state = self._read(step, shapes, iterator)
        break
      except storage_errors.ERRORS as e:
        unreadable[step] = e
        if jax.process_count() > 1:
          raise errors.InputError(
              f'{self.directory / str(step)}: cannot be read ({storage_errors.reason(e)}); '
              'move it away to go on from the checkpoint before'
          ) from e
    else:
      raise errors.InputError(
          f'{self.directory}: no checkpoint can be read '
          f'({storage_errors.reason(unreadable[max(unreadable)])}); restore the folder or '
          'choose another --workdir'
      ) from unreadable[max(unreadable)]
    for bad, e in unreadable.items():
      aside = storage_errors.set_aside(self.directory / str(bad))
      _say(
          f'WARNING: checkpoint {bad} cannot be read ({storage_errors.reason(e)}); renamed to '
          f'{aside}, going on from step {step}'
      )
    if unreadable:
      self._manager.reload()
    return state

  def wait(self) -> None:
    """Returns once the last save is whole; raises as `save`."""
    with self._writing():
      self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for the last save, then lets go of the folder; raises as `save`."""
    with self._writing():
      self._manager.wait_until_finished()
      self._manager.close()

  def _read(self, step, shapes, iterator) -> steps.TrainState:
    """Returns the state of a step; raises one of damage.FAULTS if it is damaged."""
    wanted = _arrays(shapes)
    where = self.directory / str(step)
    for name in (*wanted, 'data'):
      if not (where / name).is_dir():
        raise ValueError(f'there is no folder {name}')
    found = self._manager.item_metadata(step)
    for name in wanted:
      if found[name] is None:
        raise ValueError(f'{name} has no metadata')
    parameters.check_same_shapes(found['params'].tree, wanted['params'], where)
    parameters.check_same_shapes(
        found['optimizer'].tree,
        wanted['optimizer'],
        where,
        kind='the state of another optimizer',
        fix='choose the config.optim that it was trained with, or another '
        f'--workdir with --config.init_from={self.directory.parent} to go on '
        'with its weights alone',
    )
    restored = self._manager.restore(
        step,
        args=ocp.args.Composite(
            data=ocp.args.JsonRestore(),
            **{
                name: ocp.args.StandardRestore(tree)
                for name, tree in wanted.items()
            },
        ),
    )
    iterator.set_state(restored['data'])
    iterator.start_prefetch()
    params, optimizer = restored['params'], restored['optimizer']
    if shapes.average is None:
      return steps.TrainState(params=params, **optimizer)
    return steps.TrainState(
        params=optimizer.pop('trained'), average=params, **optimizer
    )

  def _check_finite(self, state) -> None:
    """Raises an InputError that names what is not finite."""
    # One answer is waited for before the next is asked: XLA's devices on the CPU
    # block for good where more than 32 programs that they meet in are queued.
    bad = [
        sharding.path_name(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(_arrays(state))
        if not steps.is_finite(leaf)
    ]
    if bad:
      more = f' and {len(bad) - 3} more' if len(bad) > 3 else ''
      raise errors.InputError(
          f'step {int(state.step)}: NaN or Inf in {", ".join(bad[:3])}{more}; '
          f'not saved, newest good checkpoint: {self.newest()}; lower '
          'config.optim.lr or check what config.init_from names, then start the '
          'same command'
      )

  def _writing(self):
    """Returns a context in which the failure of a save is one line."""
    return storage_errors.writing(
        self.directory,
        f'a checkpoint of about {self._num_bytes / 1e6:,.1f} MB',
        lambda: f' from step {self._manager.latest_step()}',
    )


def _arrays(state: steps.TrainState) -> dict[str, Any]:
  """Returns the trees of arrays that a checkpoint holds, by item.

  `params` is what the run is worth: their average where there is one, and then
  those that training goes on with are `trained`, beside the moments. A carry is
  there where a task has one.
  """
  optimizer = {'step': state.step, 'opt_state': state.opt_state}
  if state.carry:
    optimizer['carry'] = state.carry
  if state.average is not None:
    optimizer['trained'] = state.params
  return {'params': state.weights, 'optimizer': optimizer}


def _say(text: str) -> None:
  """Prints a line, on the first process only."""
  if jax.process_index() == 0:
    print(text, flush=True)
