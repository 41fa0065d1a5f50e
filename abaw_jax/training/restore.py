"""The state that a run starts with: its own, other weights, or random ones."""

from collections.abc import Callable
from typing import Any

import grain
import jax
import jax.numpy as jnp

from abaw_jax.checkpoints import adapters, weights
from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.core import files
from abaw_jax.distributed import processes
from abaw_jax.models.layers import variables
from abaw_jax.steps import steps
from abaw_jax.tasks import task as task_lib
from abaw_jax.telemetry import journal


def load_state(
    task: task_lib.Task,
    checkpoints: checkpoint.Checkpoints,
    init: Callable[..., steps.TrainState],
    shapes: steps.TrainState,
    batches: grain.DatasetIterator,
    source: Any,
) -> steps.TrainState:
  """Returns the newest state of the run, else a new one; prints which.

  Args:
    task: of the run.
    checkpoints: of the run.
    init: from a key to a new state.
    shapes: the state as `jax.ShapeDtypeStruct`s with sharding.
    batches: iterator that moves to the position of a restored state.
    source: of the training split. A new state takes its statistics, whether its
      weights are random or come from `init_from`.

  Raises:
    InputError: processes see different checkpoints, or the weights of
      `init_from` do not fit.
  """
  newest = checkpoints.latest_step()
  processes.check_same({f'newest of {checkpoints.directory}': newest})
  if newest is not None:
    state = checkpoints.restore(shapes, batches)
    journal.say(f'resuming from step {int(state.step)}')
    return state
  config = task.config
  state = init(jax.random.key(config['seed']))
  if config['init_from']:
    origin = files.path(config['init_from'])
    params, _ = weights.load(origin, config['model'], shapes.params)
    # New LoRA factors are not in `params`.
    state.params = adapters.joined(state.params, params)
    if state.average is not None:
      # Copies, because an update consumes both.
      copies = jax.tree.map(jnp.copy, params)
      state.average = adapters.joined(state.average, copies)
    journal.say(f'starting {", ".join(params)} from {origin}')
  statistics = task.statistics(source)
  for params in (state.params, state.average):
    if params is not None and statistics:
      params[variables.STATISTICS] |= {
          path: _like(params[variables.STATISTICS][path], values)
          for path, values in statistics.items()
      }
  return state


def _like(arrays, values):
  """Returns values in the types and on the devices of the arrays they replace."""
  return jax.tree.map(
      lambda x, value: jax.device_put(value.astype(x.dtype), x.sharding),
      arrays,
      values,
  )
