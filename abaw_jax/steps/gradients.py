"""Gradients of a task's loss: of a whole batch or its parts, sharp or not."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree
import optax

from abaw_jax.models.layers import batch_sharding, variables
from abaw_jax.tasks import task as task_lib

Result = tuple[PyTree, dict[str, Array], dict[str, Any], PyTree]


def gradients(
    trained: PyTree[Array],
    statistics: dict[str, Any],
    batch: Mapping[str, PyTree[Array]],
    key: Key[Array, ''],
    *,
    task: task_lib.Task,
    microbatches: int,
    freeze: str,
    sam_rho: float,
    sam_faithful: bool,
) -> Result:
  """Returns gradients, scalars to log, moved `batch_stats` and the next carry.

  With `sam_rho` the gradients are those of sharpness-aware minimisation (Foret
  et al., arXiv 2010.01412): at the weights plus rho g / |g|, where |g| is the
  L2 norm of the gradients g of all parameters; the same batch is drawn upon in
  the same way. Scalars are those of the weights themselves.

  Args:
    trained: parameters.
    statistics: `batch_stats`, or nothing.
    batch: arrays whose leading axis is the batch.
    key: of all randomness.
    task: what is trained.
    microbatches: parts of the batch that are differentiated one after the other;
      gradients and scalars are the means over them.
    freeze: top-level name of parameters without gradient; '' = none.
    sam_rho: distance; 0 = gradients at the weights themselves.
    sam_faithful: whether the second pass moves the statistics on.
  """

  def loss(trained, statistics, batch, key):
    if freeze:
      trained = trained | {freeze: jax.lax.stop_gradient(trained[freeze])}
    return task.loss(trained | statistics, batch, key)

  grad_fn = jax.grad(loss, has_aux=True)

  def one_pass(trained, statistics):
    if microbatches == 1:
      grads, metrics = grad_fn(trained, statistics, batch, key)
      metrics, moved = variables.split(metrics)
      carry = metrics.pop('carry', {})
      return grads, metrics, moved or statistics, carry
    return _accumulate(grad_fn, trained, statistics, batch, key, microbatches)

  grads, metrics, moved, carry = one_pass(trained, statistics)
  if not sam_rho:
    return grads, metrics, moved, carry
  # Reference: HSE-NN, the same epsilon.
  scale = sam_rho / (optax.tree.norm(grads) + 1e-12)
  sharp = jax.tree.map(lambda x, g: x + scale * g, trained, grads)
  if sam_faithful:
    grads, _, moved, _ = one_pass(sharp, moved)
  else:
    grads, _, _, _ = one_pass(sharp, statistics)
  return grads, metrics, moved, carry


def _accumulate(
    grad_fn, trained, statistics, batch, key, microbatches: int
) -> Result:
  """Returns means of gradients and scalars over parts of the batch.

  Running statistics move from part to part, as over that many updates. Each row
  has the carry of its own.
  """

  def split(x):
    # Rows i, i + m, ...: each device finds a share of every part in its own rows.
    parts = x.reshape(x.shape[0] // microbatches, microbatches, *x.shape[1:])
    return jnp.swapaxes(parts, 0, 1)

  def join(x):
    return jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:])

  def add(sums, part):
    total, statistics = sums
    batch, key = part
    batch = jax.tree.map(batch_sharding.shard_batch, batch)
    grads, metrics = grad_fn(trained, statistics, batch, key)
    metrics, moved = variables.split(metrics)
    carry = metrics.pop('carry', {})
    total = jax.tree.map(jnp.add, total, (grads, metrics))
    return (total, moved or statistics), carry

  parts = jax.tree.map(split, batch), jax.random.split(key, microbatches)
  first = jax.tree.map(lambda x: x[0], parts)
  grads, metrics = jax.eval_shape(grad_fn, trained, statistics, *first)
  metrics, _ = variables.split(metrics)
  metrics.pop('carry', None)
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (grads, metrics))
  (total, statistics), carry = jax.lax.scan(add, (zeros, statistics), parts)
  grads, metrics = jax.tree.map(lambda x: x / microbatches, total)
  return grads, metrics, statistics, jax.tree.map(join, carry)
