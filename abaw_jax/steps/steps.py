"""The jitted steps: one update, and one batch of predictions."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree
import optax

from abaw_jax.augmentation import augment, test_time_augmentation
from abaw_jax.distributed import sharding
from abaw_jax.models.layers import variables
from abaw_jax.steps import carries, gradients, schedules, skipping
from abaw_jax.steps import ema as ema_lib
from abaw_jax.tasks import task as task_lib


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class TrainState:
  """Everything that an update changes. It holds no random state.

  The leaves are arrays, or their shapes, or their shardings.

  Attributes:
    step: int32 [], number of updates so far, with the skipped ones.
    params: nested dict of float32 weights; `batch_stats` holds running
      statistics, which the optimizer does not see.
    opt_state: optax state; counts the skipped updates.
    average: EMA of `params`; None without one.
    carry: hidden state that each row of a batch passes to the same row of the
      next batch, with leading axis b; {} for most tasks.
  """

  step: Any
  params: Any
  opt_state: Any
  average: Any = None
  carry: Any = dataclasses.field(default_factory=dict)

  @property
  def weights(self) -> Any:
    """The weights that are evaluated and saved: the EMA, if there is one."""
    return self.params if self.average is None else self.average


def init_state(
    key,
    batch,
    *,
    task: task_lib.Task,
    optimizer,
    ema: float = 0.0,
) -> TrainState:
  """Returns the state of step 0 for batches of this shape."""
  params = task.init(key, batch)
  trained, _ = variables.split(params)
  average = params if ema else None
  opt_state = optimizer.init(trained)
  return TrainState(jnp.int32(0), params, opt_state, average, task.carry())


def train_step(
    state: TrainState,
    batch,
    *,
    task: task_lib.Task,
    optimizer,
    seed: int,
    ema: float = 0.0,
    microbatches: int = 1,
    freeze: str = '',
    sam_rho: float = 0.0,
    sam_faithful: bool = False,
    float32_gradients: bool = False,
    epoch_ends: tuple[int, ...] = (),
) -> tuple[TrainState, dict[str, Array]]:
  """Returns the next state and scalars to log.

  The random numbers of step i depend on (seed, i) only. If a gradient is not
  finite, the weights, the moments, the EMA and the carry do not change.

  Args:
    state: is donated.
    batch: arrays whose leading axis is the batch. The task also receives `epoch`,
      int32 [b], equal in all rows, and, if it has one, `carry`, which is 0 in the
      rows where `start` is True.
    task: of the update.
    optimizer: result of `skipping.skip_non_finite`.
    seed: of all random numbers.
    ema: decay of the EMA of the weights; 0 = no EMA.
    microbatches: see `gradients.gradients`, as for the next three.
    freeze: top-level name of parameters without gradient; '' = none.
    sam_rho: radius of sharpness-aware minimisation; 0 = off.
    sam_faithful: whether both of its passes update the running statistics.
    float32_gradients: see `gradients.gradients`.
    epoch_ends: number of updates at the end of each epoch.
  """
  carry = carries.begin(state.carry, batch)
  epoch = schedules.epoch_of(state.step, epoch_ends)
  batch = dict(batch) | {'epoch': carries.rows(epoch, batch)}
  if carry:
    batch['carry'] = carry
  key = jax.random.fold_in(jax.random.key(seed), state.step)
  trained, statistics = variables.split(state.params)
  grads, metrics, moved, after = gradients.gradients(
      sharding.constrain(trained, gathered=True),
      statistics,
      batch,
      key,
      task=task,
      microbatches=microbatches,
      freeze=freeze,
      sam_rho=sam_rho,
      sam_faithful=sam_faithful,
      float32_gradients=float32_gradients,
  )
  grads = sharding.constrain(grads, gathered=False)
  updates, opt_state = optimizer.update(grads, state.opt_state, trained)
  metrics |= {
      'grad_norm': optax.tree.norm(grads),
      'skipped': opt_state.total_notfinite,
      'skipped_in_a_row': opt_state.notfinite_count,
  }

  finite = opt_state.last_finite
  params = optax.apply_updates(trained, updates)
  params |= skipping.where(finite, moved, statistics)
  average = state.average
  if ema:
    average = skipping.where(
        finite, ema_lib.update(average, params, state.step, ema=ema), average
    )
  carry = skipping.where(finite, after, carry)
  return TrainState(state.step + 1, params, opt_state, average, carry), metrics


def predict_step(params, batch, *, task: task_lib.Task) -> dict[str, Any]:
  """Returns the rows that scoring reads, see `Task.rows`, and `real`.

  A task with a carry returns the next one as `carry`.
  """
  if 'carry' in batch:
    batch = dict(batch) | {'carry': carries.begin(batch['carry'], batch)}
  output = dict(task.predict(params, batch))
  carry = {k: output.pop(k) for k in ('carry',) if k in output}
  return task.rows(output, batch) | {'real': batch['real']} | carry


def embed_step(
    params,
    images,
    *,
    model: Any,
    augmentation: augment.Augmentation,
    outputs: tuple[str, ...],
    crops: int,
) -> Array:
  """Returns features [b, d] of uint8 images, averaged over several views.

  Args:
    params: weights of the model.
    images: uint8 [b, h, w, 3]; of a video network windows of frames, [b, t, h, w, 3],
      whose features are [b, s, d].
    model: function from normalised images to outputs by name.
    augmentation: resizes and normalises.
    outputs: names of the outputs that are concatenated to the features.
    crops: views of an image, one of `test_time_augmentation.COUNTS`.
  """
  total = 0.0
  for view in test_time_augmentation.views(
      images.reshape(-1, *images.shape[-3:]),
      count=crops,
      size=augmentation.size,
      method=augmentation.method,
  ):
    view = augmentation.evaluate(view)
    view = view.reshape(*images.shape[:-3], *view.shape[-3:])
    output, _ = variables.apply(model, params, view, train=False)
    rows = [output[name] for name in outputs]
    if images.ndim == 4:
      rows = [row.reshape(images.shape[0], -1) for row in rows]
    total += jnp.concatenate(rows, axis=-1, dtype=jnp.float32)
  return total / crops


@jax.jit
def is_finite(x) -> Array:
  """Returns whether an array holds neither NaN nor Inf."""
  return jnp.all(jnp.isfinite(x))


def param_shapes(task: task_lib.Task, batch, mesh) -> PyTree:
  """Returns the shapes of the parameters, with shardings on `mesh`."""
  shapes = jax.eval_shape(task.init, jax.random.key(0), batch)
  return sharding.with_shardings(shapes, sharding.state_shardings(shapes, mesh))


def jit_init(task: task_lib.Task, optimizer, mesh, batch, **options: Any):
  """Returns (function from a key to a state on `mesh`, shapes of that state).

  The options are those of `init_state`.
  """
  init = functools.partial(
      init_state, batch=batch, task=task, optimizer=optimizer, **options
  )
  # The key is traced too, so that nothing runs on a mesh without devices.
  shapes = jax.eval_shape(lambda: init(jax.random.key(0)))
  shardings = sharding.state_shardings(shapes, mesh)
  shapes = sharding.with_shardings(shapes, shardings)
  return jax.jit(init, out_shardings=shardings), shapes


def jit_train_step(
    task: task_lib.Task,
    optimizer,
    mesh,
    shapes,
    *,
    seed: int,
    **options: Any,
):
  """Returns the jitted `train_step` with its options; it donates the state."""
  shardings = jax.tree.map(lambda x: x.sharding, shapes)
  step = functools.partial(
      train_step,
      task=task,
      optimizer=optimizer,
      seed=seed,
      **options,
  )
  return jax.jit(
      step,
      in_shardings=(shardings, sharding.over_batch(mesh)),
      out_shardings=(shardings, sharding.replicated(mesh)),
      donate_argnums=0,
  )


def jit_predict_step(task: task_lib.Task, mesh):
  """Returns the jitted `predict_step`; every process gets all rows."""
  return jax.jit(
      functools.partial(predict_step, task=task),
      out_shardings=sharding.replicated(mesh),
  )


def jit_draw(task: task_lib.Task, mesh):
  """Returns the jitted `Task.draw`; every process gets all images."""
  return jax.jit(task.draw, out_shardings=sharding.replicated(mesh))


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
