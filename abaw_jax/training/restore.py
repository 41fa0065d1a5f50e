"""The state that a run starts from: its own, other weights, or scratch."""

from collections.abc import Callable, Mapping
import pathlib
from typing import Any

import grain
import jax
import jax.numpy as jnp

from abaw_jax.checkpoints import checkpoints as checkpoint
from abaw_jax.checkpoints import weights
from abaw_jax.distributed import processes
from abaw_jax.models.layers import variables
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs
from abaw_jax.telemetry import journal


def load_state(
    config: Mapping[str, Any],
    checkpoints: checkpoint.Checkpoints,
    init: Callable[..., steps.TrainState],
    shapes: steps.TrainState,
    batches: grain.DatasetIterator,
    source: inputs.Source,
) -> steps.TrainState:
  """Returns the newest state of the run, else a new one; says which.

  Args:
    config: of the run.
    checkpoints: of the run.
    init: from a key to a new state.
    shapes: the state as `jax.ShapeDtypeStruct`s with sharding.
    batches: is put where a state that is restored left it.
    source: what is trained on. A state from scratch normalises features by its
      statistics, where `data.norm` says so; others by those they come with.

  Raises:
    InputError: processes do not see the same checkpoints, or the weights of
      `init_from` do not fit.
  """
  newest = checkpoints.latest_step()
  processes.check_same({f'newest of {checkpoints.directory}': newest})
  if newest is not None:
    state = checkpoints.restore(shapes, batches)
    journal.say(f'resuming from step {int(state.step)}')
    return state
  state = init(jax.random.key(config['seed']))
  if config['init_from']:
    origin = pathlib.Path(config['init_from'])
    params, _ = weights.load(origin, config['model'], shapes.params)
    state.params |= params
    if state.average is not None:
      # Copies: an update consumes both.
      state.average |= jax.tree.map(jnp.copy, params)
    journal.say(f'starting {", ".join(params)} from {origin}')
  else:
    _normalise(config, source, state)
  return state


def _normalise(config, source, state: steps.TrainState) -> None:
  """Puts the statistics of the features where the model finds them."""
  if config['model']['name'] != 'temporal':
    return
  statistics = inputs.feature_statistics(config, source)
  if statistics is None:
    return
  norm = dict(zip(('mean', 'std'), statistics, strict=True))
  for params in (state.params, state.average):
    if params is not None:
      held = params[variables.STATISTICS]['feature_norm']
      params[variables.STATISTICS]['feature_norm'] = {
          name: jax.device_put(norm[name].astype(x.dtype), x.sharding)
          for name, x in held.items()
      }
