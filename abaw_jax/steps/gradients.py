"""Gradients of a loss, with microbatches and sharpness-aware minimisation."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree
import optax

from abaw_jax.models.layers import batch_sharding, dense, variables
from abaw_jax.steps import freezing
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
    float32_gradients: bool,
) -> Result:
  """Returns gradients, scalars to log, new `batch_stats` and the next carry.

  With `sam_rho`, the gradients are those of sharpness-aware minimisation (Foret
  et al., arXiv 2010.01412): at the weights plus rho g / |g|, where |g| is the L2
  norm of the gradients g of all parameters. Both passes use the same batch and
  the same random numbers. The scalars are those of the first pass.

  Args:
    trained: parameters.
    statistics: `batch_stats`, or empty.
    batch: arrays whose leading axis is the batch.
    key: of all random numbers.
    task: of the loss.
    microbatches: number of parts of the batch that are processed one after the
      other; gradients and scalars are means over the parts.
    freeze: top-level name of parameters without gradient; '' = none. In a part
      with LoRA, only the factors have gradients. The others are 0.
    sam_rho: radius; 0 = plain gradients.
    sam_faithful: whether the second pass updates the running statistics too.
    float32_gradients: whether gradients of kernels are float32 from the start;
      otherwise they have the compute dtype of the model until they are summed.
  """
  # Nothing is computed or summed for frozen parameters.
  trained, frozen = freezing.split(trained, freeze)

  def loss(trained, statistics, batch, key):
    params = freezing.join(trained, frozen)
    with dense.float32_gradients(float32_gradients):
      return task.loss(params | statistics, batch, key)

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
    return freezing.without_gradients(grads, frozen), metrics, moved, carry
  # Reference: HSE-NN, the same epsilon.
  scale = sam_rho / (optax.tree.norm(grads) + 1e-12)
  sharp = jax.tree.map(lambda x, g: x + scale * g, trained, grads)
  if sam_faithful:
    grads, _, moved, _ = one_pass(sharp, moved)
  else:
    grads, _, _, _ = one_pass(sharp, statistics)
  return freezing.without_gradients(grads, frozen), metrics, moved, carry


def _accumulate(
    grad_fn, trained, statistics, batch, key, microbatches: int
) -> Result:
  """Returns means of gradients and scalars over parts of the batch.

  Running statistics are updated once per part. Each row keeps its own carry.
  """

  def split(x):
    # Part i has the rows i, i + m, ..., so every device holds rows of each part.
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
