"""Checkpoints of a run: training state, position in the data, and config."""

from collections.abc import Mapping
import math
import operator
from typing import Any

import grain
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from abaw_jax.checkpoints import orbax_buckets, parameters
from abaw_jax.core import errors, files, storage_errors
from abaw_jax.distributed import sharding
from abaw_jax.steps import steps


class Checkpoints:
  """The checkpoints of one workdir, under `<workdir>/checkpoints/<step>`.

  The newest two checkpoints and the one with the best score are kept. The item
  `params` holds the weights for evaluation, `optimizer` the rest of the
  training state. Orbax renames a complete checkpoint, so an incomplete one is
  never read. A state with NaN or Inf is never saved.
  """

  def __init__(self, workdir: files.Path, *, score: str, best: str):
    """Opens the checkpoints of `workdir`.

    Args:
      workdir: folder of the run.
      score: key of the score that selects the best checkpoint.
      best: 'max' or 'min'.
    """
    self.directory = orbax_buckets.folder(workdir, 'checkpoints')
    self._score = score
    self._num_bytes = 0  # size of the last state, for messages
    for path in storage_errors.unreadable_scores(self.directory):
      _print(f'{path}: cannot be read; the checkpoint loses its score')
      files.remove(path.parent)
    policies = checkpoint_managers.AnyPreservationPolicy(
        [
            checkpoint_managers.LatestN(2),
            checkpoint_managers.BestN(
                n=1,
                get_metric_fn=operator.itemgetter(score),
                reverse=best == 'min',
                keep_checkpoints_without_metrics=False,
            ),
        ]
    )
    self._manager = ocp.CheckpointManager(
        self.directory,
        options=ocp.CheckpointManagerOptions(
            best_fn=operator.itemgetter(score),
            best_mode=best,
            preservation_policy=policies,
            cleanup_tmp_directories=True,
            async_options=orbax_buckets.async_options(workdir),
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
    """Returns the step of the newest checkpoint, None if there is none."""
    self.wait()
    return self._manager.latest_step()

  def newest(self) -> str:
    """Returns the path of the newest checkpoint, for messages."""
    step = self.latest_step()
    return 'none' if step is None else str(self.directory / str(step))

  def best(self) -> tuple[int | None, float]:
    """Returns (step, score) of the best checkpoint; (None, NaN) without any."""
    self.wait()
    step = self._manager.best_step()
    scores = None if step is None else self._manager.metrics(step)
    if not scores:
      return None, math.nan
    return step, scores[self._score]

  def save(
      self,
      state: steps.TrainState,
      iterator: grain.DatasetIterator,
      config: Mapping[str, Any],
      scores: dict[str, float] | None,
  ) -> None:
    """Starts to save in the background; arrays are copied before it returns.

    Args:
      state: training state.
      iterator: iterator of the training data, for its position.
      config: config of the run.
      scores: scores of the weights; None if they were not evaluated.

    Raises:
      InputError: the state holds NaN or Inf, or this save or the previous one
        cannot be written, for example on a full disk.
    """
    step = int(state.step)
    if step == self._manager.latest_step():
      return
    self._check_finite(state)
    if scores is not None and math.isnan(scores[self._score]):
      scores = None  # no labels: there is no best checkpoint
    self._num_bytes = sum(x.nbytes for x in jax.tree.leaves(state))
    items = {
        name: ocp.args.StandardSave(tree)
        for name, tree in _arrays(state).items()
    }
    with self._writing():
      self._manager.save(
          step,
          args=ocp.args.Composite(
              # The position is the same for any number of processes.
              data=ocp.args.JsonSave(iterator.get_state()),
              config=ocp.args.JsonSave(dict(config)),
              **items,
          ),
          metrics=scores,
      )

  def restore(
      self, shapes: steps.TrainState, iterator: grain.DatasetIterator
  ) -> steps.TrainState:
    """Returns the newest readable state and sets the iterator to its position.

    A crash of the machine can leave empty files. Such a checkpoint is renamed
    to `<step>.unreadable`, with a warning. With several processes, a person
    must rename it, because one process cannot decide for all.

    Args:
      shapes: the state as `jax.ShapeDtypeStruct`s with sharding.
      iterator: is set to the batch after the last trained batch.

    Raises:
      InputError: the checkpoint is of another model or optimizer, or no
        checkpoint can be read.
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
              f'{self.directory / str(step)}: cannot be read '
              f'({storage_errors.reason(e)}); move it away to continue from the '
              'previous checkpoint'
          ) from e
    else:
      newest = unreadable[max(unreadable)]
      raise errors.InputError(
          f'{self.directory}: no checkpoint can be read '
          f'({storage_errors.reason(newest)}); restore the folder or choose '
          'another --workdir'
      ) from newest
    for bad, e in unreadable.items():
      aside = storage_errors.set_aside(self.directory / str(bad))
      _print(
          f'WARNING: checkpoint {bad} cannot be read '
          f'({storage_errors.reason(e)}); renamed to {aside}, continuing from '
          f'step {step}'
      )
    if unreadable:
      self._manager.reload()
    return state

  def wait(self) -> None:
    """Waits until the last save is complete; raises as `save`."""
    with self._writing():
      self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits for the last save and closes the folder; raises as `save`."""
    with self._writing():
      self._manager.wait_until_finished()
      self._manager.close()

  def _read(self, step, shapes, iterator) -> steps.TrainState:
    """Returns the state of a step.

    Raises:
      OSError, ValueError: a file is damaged or missing.
      InputError: the state has other shapes.
    """
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
        content='the state of another optimizer',
        fix='choose the config.optim of that run, or another --workdir with '
        f'--config.init_from={self.directory.parent} to start from its weights',
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
    """Raises an InputError that names the arrays with NaN or Inf."""
    # `not` waits for each result before the next program starts: on the CPU,
    # XLA deadlocks if more than 32 programs with collectives are queued.
    bad = [
        sharding.path_name(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(_arrays(state))
        if not steps.is_finite(leaf)
    ]
    if bad:
      raise errors.InputError(
          f'step {int(state.step)}: NaN or Inf in {errors.few(bad)}; '
          f'not saved, newest good checkpoint: {self.newest()}; lower '
          'config.optim.lr or check the weights of config.init_from, then run '
          'the same command again'
      )

  def _writing(self):
    """Returns a context that turns a failed save into an InputError."""
    return storage_errors.writing(
        self.directory,
        f'a checkpoint of about {self._num_bytes / 1e6:,.1f} MB',
        lambda: f' from step {self._manager.latest_step()}',
    )


def _arrays(state: steps.TrainState) -> dict[str, Any]:
  """Returns the trees of arrays in a checkpoint, by item.

  With an EMA, `params` holds the EMA weights, and the trained weights are in
  `optimizer` under `trained`. A task with a carry also saves it there.
  """
  optimizer = {'step': state.step, 'opt_state': state.opt_state}
  if state.carry:
    optimizer['carry'] = state.carry
  if state.average is not None:
    optimizer['trained'] = state.params
  return {'params': state.weights, 'optimizer': optimizer}


def _print(text: str) -> None:
  """Prints a line; only the first process does."""
  if jax.process_index() == 0:
    print(text, flush=True)
