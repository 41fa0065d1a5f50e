"""Predictions of every row of a split, by one or several sets of weights."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from abaw_jax.checkpoints import parameters, task_bests
from abaw_jax.core import errors, files
from abaw_jax.distributed import sharding
from abaw_jax.tasks import task as task_lib

Rows = dict[str, np.ndarray]


def predict_rows(
    step: Callable[..., Mapping[str, Any]],
    params: Any,
    batches: Iterable[Mapping[str, np.ndarray]],
    mesh: jax.sharding.Mesh,
) -> Rows:
  """Returns the outputs of `step` for every real row, each once.

  Every process returns the rows of all processes, in the order of the split. The
  carry is 0 before the first batch.

  Args:
    step: jitted `steps.predict_step`.
    params: parameters of the model.
    batches: this process's part of one pass over a split.
    mesh: the mesh over which batches are split.

  Returns:
    Arrays of equal length by key: the frames of all windows, without padding.
  """
  split = sharding.over_batch(mesh)
  parts: list[Rows] = []
  carry = None
  for batch in batches:
    batch = sharding.to_devices(batch, split)
    if carry is None:
      carry = _no_carry(step, params, batch, mesh)
    if carry:
      batch['carry'] = carry
    out = dict(step(params, batch))
    carry = out.pop('carry', {})
    out = {
        key: sharding.in_process_order(value, mesh)
        for key, value in jax.device_get(out).items()
    }
    keep = out.pop('frame_mask', None)
    real = out.pop('real')
    if keep is None:
      keep = real
    else:
      keep = keep & real[:, None]
      out['video_id'] = np.broadcast_to(out['video_id'][:, None], keep.shape)
    parts.append({key: value[keep] for key, value in out.items()})
  return {
      key: np.concatenate([part[key] for part in parts]) for key in parts[0]
  }


def choices(task: task_lib.Task) -> tuple[str, ...]:
  """Returns the weights that can predict, by name.

  `score` are those with the best score, and each name of `task.part_scores` are
  those that were best in that part. `tasks` are several: every part is predicted
  by the weights that were best in it.
  """
  return ('score', *(('tasks', *task.part_scores) if task.part_scores else ()))


def predict_as(
    weights_of: str,
    predict: Callable[[Any], Rows],
    workdir: files.Path,
    task: task_lib.Task,
    shapes: Any,
) -> Rows:
  """Returns predictions of a run by the chosen weights.

  Args:
    weights_of: one of `choices`.
    predict: returns the rows of a split by some weights.
    workdir: of the run.
    task: of the run.
    shapes: nested dict of `jax.ShapeDtypeStruct`s with sharding.

  Raises:
    InputError: there is no such choice, or there are no such weights.
  """
  if weights_of not in choices(task):
    raise errors.InputError(
        f'--weights_of={weights_of}: choose one of {", ".join(choices(task))}'
    )
  if weights_of == 'score':
    params, _ = parameters.load(workdir, shapes)
    return predict(params)
  bests = task_bests.read(workdir)
  parts = tuple(task.part_scores) if weights_of == 'tasks' else (weights_of,)
  by_step: dict[int, Rows] = {}
  for part in parts:
    step = task_bests.best_step(bests, part, workdir)
    if step not in by_step:
      by_step[step] = predict(task_bests.load(workdir, step, shapes))
  rows = by_step[step]
  if weights_of == 'tasks':
    for part in parts:
      rows[f'pred_{part}'] = by_step[bests[part].step][f'pred_{part}']
  return rows


def _no_carry(step, params, batch, mesh):
  """Returns a carry of zeros; {} for tasks without one."""
  if 'start' not in batch:
    return {}
  carry = jax.eval_shape(step, params, batch).get('carry', {})
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), carry)
  return jax.device_put(zeros, sharding.replicated(mesh))
