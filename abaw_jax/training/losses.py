"""Losses of the multi-task problem, each over the labelled elements only.

Every loss takes the mask as an argument, is computed in float32 whatever the
type of the predictions, and divides by the number of elements where the mask is
True. What lies under a False mask (a sentinel, NaN) reaches neither the value
nor the gradient, because it is replaced before the first operation. Without a
single valid element value and gradient are 0.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Real
import optax

from abaw_jax import errors, labels


def mse_loss(
    pred: Float[Array, '*b'],
    target: Float[Array, '*b'],
    mask: Bool[Array, '*b'],
) -> Float[Array, '']:
  """Returns the mean squared error over the elements where `mask` is True."""
  pred, target = _keep(pred, mask), _keep(target, mask)
  return _mean(jnp.square(pred - target), mask)


def ccc_loss(
    pred: Float[Array, '*b'],
    target: Float[Array, '*b'],
    mask: Bool[Array, '*b'],
    *,
    eps: float = 1e-8,
) -> Float[Array, '']:
  """Returns 1 - CCC (Lin, 1989) over the elements where `mask` is True.

  Population moments, over all elements at once. `eps` is added to the
  denominator of the CCC, so that constant predictions of constant targets give
  1 and not NaN.
  """
  pred, target = _keep(pred, mask), _keep(target, mask)
  mean_pred, mean_target = _mean(pred, mask), _mean(target, mask)
  # Deviations before products: E[x^2] - E[x]^2 cancels in float32.
  dev_pred = jnp.where(mask, pred - mean_pred, 0.0)
  dev_target = jnp.where(mask, target - mean_target, 0.0)
  covariance = _mean(dev_pred * dev_target, mask)
  spread = _mean(jnp.square(dev_pred) + jnp.square(dev_target), mask)
  bias = jnp.square(mean_pred - mean_target)
  ccc = 2 * covariance / (spread + bias + eps)
  return jnp.where(jnp.any(mask), 1 - ccc, 0.0)


def cross_entropy(
    logits: Float[Array, '*b k'],
    target: Int[Array, '*b'],
    mask: Bool[Array, '*b'],
) -> Float[Array, '']:
  """Returns the mean of -log softmax(logits)[target] where `mask` is True."""
  logits = _keep(logits, mask[..., None])
  target = jnp.where(mask, target, 0)
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, target)
  return _mean(losses, mask)


def bce_loss(
    logits: Float[Array, '*b'],
    target: Real[Array, '*b'],
    mask: Bool[Array, '*b'],
) -> Float[Array, '']:
  """Returns the mean binary cross-entropy over the entries of a True `mask`.

  `target` is 0, 1 or a probability. For action units each (row, AU) pair is an
  entry of its own: the denominator counts pairs, not rows.
  """
  logits, target = _keep(logits, mask), _keep(target, mask)
  return _mean(optax.sigmoid_binary_cross_entropy(logits, target), mask)


VA_LOSSES = {'mse': mse_loss, 'ccc': ccc_loss}


def multi_task_loss(
    output: labels.Output,
    batch: labels.FrameBatch | labels.SequenceBatch,
    *,
    weights: Mapping[str, float],
    va_loss: str,
) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
  """Returns the weighted sum of the tasks' losses, and each loss unweighted.

  `weights` maps tasks (valence, arousal, expression, au) to factors; a task
  without a weight is neither computed nor returned. `va_loss` is a key of
  VA_LOSSES. Raises InputError for a name that does not exist.
  """
  if va_loss not in VA_LOSSES:
    raise errors.InputError(
        f'va_loss: unknown loss {va_loss!r}; choose from {list(VA_LOSSES)}'
    )
  losses = {
      'valence': (VA_LOSSES[va_loss], 'va'),
      'arousal': (VA_LOSSES[va_loss], 'va'),
      'expression': (cross_entropy, 'expr'),
      'au': (bce_loss, 'au_mask'),
  }
  parts = {}
  total = jnp.zeros([], jnp.float32)
  for task, weight in weights.items():
    if task not in losses:
      raise errors.InputError(
          f'weights: unknown task {task!r}; choose from {list(losses)}'
      )
    loss, mask = losses[task]
    parts[task] = loss(output[task], batch[task], batch[mask])
    total += weight * parts[task]
  return total, parts


def _keep(x: Real[Array, '*b'], mask: Bool[Array, '*m']) -> Float[Array, '*b']:
  """Returns x in float32 where `mask` is True, 0 elsewhere."""
  return jnp.where(mask, x.astype(jnp.float32), 0.0)


def _mean(x: Float[Array, '*b'], mask: Bool[Array, '*b']) -> Float[Array, '']:
  """Returns the sum of x where `mask` is True over their number, 0 for 0/0."""
  count = jnp.sum(mask, dtype=jnp.float32)
  return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(count, 1.0)
