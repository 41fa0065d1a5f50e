"""The jitted steps: one update, and one batch of predictions."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree
import optax

from abaw_jax.models import layers, variables
from abaw_jax.training import augment, mae_task, sharding, tasks, views

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
    params: nested dict of float32 weights; those under `batch_stats` are running
      statistics, which no optimiser knows of.
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
  trained, _ = variables.split(params)
  return TrainState(jnp.int32(0), params, optimizer.init(trained))


def train_step(
    state: TrainState,
    batch,
    *,
    task: tasks.Task,
    optimizer,
    seed: int,
    microbatches: int = 1,
    freeze: str = '',
) -> tuple[TrainState, dict[str, Array]]:
  """Returns the next state and scalars to log.

  The randomness of step i is a function of (seed, i) alone. An update whose
  gradients are not all finite leaves weights and moments as they were.

  Args:
    state: is consumed.
    batch: arrays whose leading axis is the batch.
    task: what is trained.
    optimizer: made finite by `skip_non_finite`.
    seed: of all randomness.
    microbatches: parts of the batch that are differentiated one after the other;
      gradients and scalars are the means over them.
    freeze: top-level name of parameters without gradient; '' = none.
  """
  key = jax.random.fold_in(jax.random.key(seed), state.step)

  trained, statistics = variables.split(state.params)

  def loss(trained, statistics, batch, key):
    if freeze:
      trained = trained | {freeze: jax.lax.stop_gradient(trained[freeze])}
    return task.loss(trained | statistics, batch, key)

  grad_fn = jax.grad(loss, has_aux=True)
  if microbatches == 1:
    grads, metrics = grad_fn(trained, statistics, batch, key)
  else:
    grads, metrics = _accumulate(
        grad_fn, trained, statistics, batch, key, microbatches
    )
  metrics, moved = variables.split(metrics)
  updates, opt_state = optimizer.update(grads, state.opt_state, trained)
  metrics |= {
      'grad_norm': optax.tree.norm(grads),
      'skipped': opt_state.total_notfinite,
      'skipped_in_a_row': opt_state.notfinite_count,
  }
  params = optax.apply_updates(trained, updates) | jax.tree.map(
      lambda new, old: jnp.where(opt_state.last_finite, new, old),
      moved or statistics,
      statistics,
  )
  return TrainState(state.step + 1, params, opt_state), metrics


def _accumulate(
    grad_fn, trained, statistics, batch, key, microbatches: int
) -> tuple[PyTree, dict[str, PyTree]]:
  """Returns means of gradients and scalars over parts of the batch.

  Running statistics move from part to part, as over that many updates.
  """

  def split(x):
    # Rows i, i + m, ...: each device finds a share of every part in its own rows.
    parts = x.reshape(x.shape[0] // microbatches, microbatches, *x.shape[1:])
    return jnp.swapaxes(parts, 0, 1)

  def add(carry, part):
    total, statistics = carry
    batch, key = part
    batch = jax.tree.map(layers.split_batch, batch)
    grads, metrics = grad_fn(trained, statistics, batch, key)
    metrics, moved = variables.split(metrics)
    total = jax.tree.map(jnp.add, total, (grads, metrics))
    return (total, moved or statistics), None

  parts = jax.tree.map(split, batch), jax.random.split(key, microbatches)
  first = jax.tree.map(lambda x: x[0], parts)
  grads, metrics = jax.eval_shape(grad_fn, trained, statistics, *first)
  metrics, _ = variables.split(metrics)
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (grads, metrics))
  (total, statistics), _ = jax.lax.scan(add, (zeros, statistics), parts)
  grads, metrics = jax.tree.map(lambda x: x / microbatches, total)
  return grads, metrics | statistics


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
    params,
    images,
    *,
    model: Any,
    augmentation: augment.Augmentation,
    outputs: tuple[str, ...],
    crops: int,
) -> Array:
  """Returns features [b, d] of uint8 images, means over several views.

  Args:
    params: weights of the model.
    images: uint8 [b, h, w, 3].
    model: maps normalised images to outputs by name.
    augmentation: resizes and normalises.
    outputs: names of the outputs that are features, one after the other.
    crops: views of an image, one of `views.COUNTS`.
  """
  total = 0.0
  for view in views.views(images, count=crops, size=augmentation.size):
    view = augmentation.evaluate(view)
    output, _ = variables.apply(model, params, view, train=False)
    rows = [output[name].reshape(images.shape[0], -1) for name in outputs]
    total += jnp.concatenate(rows, axis=-1, dtype=jnp.float32)
  return total / crops


def reconstruct_step(
    params, images, noise, *, task: mae_task.MAETask
) -> dict[str, Array]:
  """Returns `MAETask.reconstruct` of uint8 images."""
  return task.reconstruct(params, images, noise)


@jax.jit
def is_finite(x) -> Array:
  """Returns whether an array holds neither NaN nor Inf."""
  return jnp.all(jnp.isfinite(x))


def param_shapes(task: tasks.Task, batch, mesh) -> PyTree:
  """Returns the parameters as shapes with their shardings on `mesh`."""
  shapes = jax.eval_shape(task.init, jax.random.key(0), batch)
  return sharding.with_shardings(shapes, sharding.state_shardings(shapes, mesh))


def jit_init(task: tasks.Task, optimizer, mesh, batch):
  """Returns (function from a key to a state on `mesh`, shapes of that state)."""
  init = functools.partial(
      init_state, batch=batch, task=task, optimizer=optimizer
  )
  # The key is traced too: a mesh that is only compiled for computes nothing.
  shapes = jax.eval_shape(lambda: init(jax.random.key(0)))
  shardings = sharding.state_shardings(shapes, mesh)
  shapes = sharding.with_shardings(shapes, shardings)
  return jax.jit(init, out_shardings=shardings), shapes


def jit_train_step(
    task: tasks.Task,
    optimizer,
    mesh,
    shapes,
    *,
    seed: int,
    microbatches: int = 1,
    freeze: str = '',
):
  """Returns the jitted `train_step`; it consumes the state it is given."""
  shardings = jax.tree.map(lambda x: x.sharding, shapes)
  step = functools.partial(
      train_step,
      task=task,
      optimizer=optimizer,
      seed=seed,
      microbatches=microbatches,
      freeze=freeze,
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


def jit_reconstruct_step(task: mae_task.MAETask, mesh):
  """Returns the jitted `reconstruct_step`; every process gets all images."""
  return jax.jit(
      functools.partial(reconstruct_step, task=task),
      out_shardings=sharding.replicated(mesh),
  )


def jit_embed_step(
    model: Any,
    augmentation: augment.Augmentation,
    mesh,
    *,
    outputs: tuple[str, ...],
    crops: int,
):
  """Returns the jitted `embed_step`; every process gets all rows."""
  step = functools.partial(
      embed_step,
      model=model,
      augmentation=augmentation,
      outputs=outputs,
      crops=crops,
  )
  return jax.jit(step, out_shardings=sharding.replicated(mesh))
