"""The jitted steps: one update, and one batch of predictions."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree
import optax

from abaw_jax.models import vit
from abaw_jax.training import sharding, tasks

# What evaluation needs of a batch beside the model's output.
PASSED_ON = (
    'valence', 'arousal', 'expression', 'au', 'va', 'expr', 'au_mask', 'real',
    'frame_mask', 'frame_id', 'row', 'video_id',
)  # fmt: skip


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class TrainState:
  """Everything that an update changes; holds no random state.

  The leaves are arrays, or their shapes or shardings in a state of those.

  Attributes:
    step: int32 [], updates asked for so far, skipped ones included.
    params: nested dict of float32 parameters.
    opt_state: optax state; counts the skipped updates.
  """

  step: Any
  params: Any
  opt_state: Any


def skip_non_finite(
    optimizer: optax.GradientTransformation,
) -> optax.GradientTransformation:
  """Returns `optimizer` made to skip and count updates with NaN or Inf."""
  # optax would let the update through after this many errors in a row; the
  # training loop stops long before.
  return optax.apply_if_finite(optimizer, max_consecutive_errors=2**30)


def init_state(key, batch, *, task: tasks.Task, optimizer) -> TrainState:
  """Returns the state of step 0 for batches of this shape."""
  params = task.init(key, batch)
  return TrainState(jnp.int32(0), params, optimizer.init(params))


def train_step(
    state: TrainState, batch, *, task: tasks.Task, optimizer, seed: int
) -> tuple[TrainState, dict[str, Array]]:
  """Returns the next state and scalars to log.

  The randomness of step i is a function of (seed, i) alone. An update whose
  gradients are not all finite leaves parameters and moments as they were.
  """
  key = jax.random.fold_in(jax.random.key(seed), state.step)
  (_, metrics), grads = jax.value_and_grad(task.loss, has_aux=True)(
      state.params, batch, key
  )
  updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
  metrics |= {
      'grad_norm': optax.tree.norm(grads),
      'skipped': opt_state.total_notfinite,
      'skipped_in_a_row': opt_state.notfinite_count,
  }
  params = optax.apply_updates(state.params, updates)
  return TrainState(state.step + 1, params, opt_state), metrics


def predict_step(params, batch, *, task: tasks.Task) -> dict[str, Array]:
  """Returns the model's outputs beside the labels of the batch.

  Keys of the output are prefixed `pred_`; multi-task outputs are valence,
  arousal, expression probabilities and AU probabilities.
  """
  output = task.predict(params, batch)
  output = {k: v for k, v in output.items() if k not in ('hidden', 'embedding')}
  if 'expression' in output:
    output['expression'] = jax.nn.softmax(output['expression'], axis=-1)
    output['au'] = jax.nn.sigmoid(output['au'])
  passed_on = {k: batch[k] for k in PASSED_ON if k in batch}
  return passed_on | {f'pred_{k}': v for k, v in output.items()}


def embed_step(
    params, images, *, model: vit.ViT, augmentation: tasks.Augmentation
) -> Array:
  """Returns the embedding [b, d] of uint8 images."""
  images = augmentation.evaluate(images)
  return model.apply({'params': params}, images, train=False)


def param_shapes(task: tasks.Task, batch, mesh) -> PyTree:
  """Returns the parameters as shapes with their shardings on `mesh`."""
  shapes = jax.eval_shape(task.init, jax.random.key(0), batch)
  return sharding.with_shardings(shapes, sharding.state_shardings(shapes, mesh))


def jit_init(task: tasks.Task, optimizer, mesh, batch):
  """Returns (function from a key to a state on `mesh`, shapes of that state)."""
  init = functools.partial(
      init_state, batch=batch, task=task, optimizer=optimizer
  )
  shapes = jax.eval_shape(init, jax.random.key(0))
  shardings = sharding.state_shardings(shapes, mesh)
  shapes = sharding.with_shardings(shapes, shardings)
  return jax.jit(init, out_shardings=shardings), shapes


def jit_train_step(task: tasks.Task, optimizer, mesh, shapes, *, seed: int):
  """Returns the jitted `train_step`; it consumes the state it is given."""
  shardings = jax.tree.map(lambda x: x.sharding, shapes)
  step = functools.partial(
      train_step, task=task, optimizer=optimizer, seed=seed
  )
  return jax.jit(
      step,
      in_shardings=(shardings, sharding.over_batch(mesh)),
      out_shardings=(shardings, sharding.replicated(mesh)),
      donate_argnums=0,
  )


def jit_predict_step(task: tasks.Task, mesh):
  """Returns the jitted `predict_step`; every process gets all rows."""
  return jax.jit(
      functools.partial(predict_step, task=task),
      out_shardings=sharding.replicated(mesh),
  )


def jit_embed_step(model: vit.ViT, augmentation: tasks.Augmentation, mesh):
  """Returns the jitted `embed_step`; every process gets all rows."""
  return jax.jit(
      functools.partial(embed_step, model=model, augmentation=augmentation),
      out_shardings=sharding.replicated(mesh),
  )
