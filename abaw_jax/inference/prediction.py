"""Predictions of every row of a split, by one network or by each task's best."""

from collections.abc import Callable, Iterable, Mapping
import pathlib
from typing import Any

import jax
import numpy as np

from abaw_jax.checkpoints import parameters, task_bests
from abaw_jax.core import errors
from abaw_jax.distributed import sharding

Rows = dict[str, np.ndarray]

# Whose weights predict: those with the best score, each task by those that it was
# best with itself, or all tasks by those that one of them was best with.
CHOICES = ('score', 'tasks', *task_bests.SCORES)


def predict_rows(
    step: Callable[..., Mapping[str, Any]],
    params: Any,
    batches: Iterable[Mapping[str, np.ndarray]],
    mesh: jax.sharding.Mesh,
) -> Rows:
  """Returns the outputs of `step` for every real row, each once.

  Every process returns the rows of all of them, in the order of the split. What
  the step carries from batch to batch is 0 before the first.

  Args:
    step: jitted `steps.predict_step`.
    params: parameters of the model.
    batches: this process's part of one pass over a split.
    mesh: mesh that the batches are split over.

  Returns:
    Arrays of equal length by key: frames of all windows, without padding.
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
    out = jax.device_get(out)
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


def predict_as(
    of: str,
    predict: Callable[[Any], Rows],
    workdir: pathlib.Path,
    shapes: Any,
) -> Rows:
  """Returns predictions of a run by the weights of its choice.

  Args:
    of: one of CHOICES.
    predict: returns the rows of a split by some weights.
    workdir: of the run.
    shapes: nested dict of `jax.ShapeDtypeStruct`s with sharding.

  Raises:
    InputError: there is no such choice, or there are no such weights.
  """
  if of not in CHOICES:
    raise errors.InputError(f'--of={of}: choose one of {", ".join(CHOICES)}')
  if of == 'score':
    params, _ = parameters.load(workdir, shapes)
    return predict(params)
  bests = task_bests.read(workdir)
  chosen = task_bests.SCORES if of == 'tasks' else (of,)
  by_step: dict[int, Rows] = {}
  for task in chosen:
    step = task_bests.step_of(bests, task, workdir)
    if step not in by_step:
      by_step[step] = predict(task_bests.load(workdir, step, shapes))
  rows = by_step[step]
  if of == 'tasks':
    for task in chosen:
      rows[f'pred_{task}'] = by_step[bests[task].step][f'pred_{task}']
  return rows


def _no_carry(step, params, batch, mesh):
  """Returns zeros like what `step` carries; {} for most tasks."""
  if 'start' not in batch:
    return {}
  carry = jax.eval_shape(step, params, batch).get('carry', {})
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), carry)
  return jax.device_put(zeros, sharding.replicated(mesh))
