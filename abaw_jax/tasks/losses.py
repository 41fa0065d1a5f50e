"""Losses of the tasks, each over the labelled elements only.

Every loss takes the mask as an argument, is computed in float32 whatever the
type of the predictions, and divides by the number of elements where the mask is
True, unless it says otherwise. What lies under a False mask (a sentinel, NaN)
reaches neither the value nor the gradient, because it is replaced before the
first operation. Without a single valid element value and gradient are 0.

`multi_task.MultiTaskLoss` adds them up.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Real
import optax


def mse_loss(
    pred: Float[Array, '*b'],
    target: Float[Array, '*b'],
    mask: Bool[Array, '*b'],
    *,
    denominator: Real[Array, ''] | None = None,
) -> Float[Array, '']:
  """Returns the mean squared error over the elements where `mask` is True.

  Their squares are divided by `denominator` if there is one.
  """
  pred, target = _keep(pred, mask), _keep(target, mask)
  squares = jnp.square(pred - target)
  if denominator is not None:
    return jnp.sum(squares) / denominator
  return _mean(squares, mask)


def ccc_loss(
    pred: Float[Array, '*b'],
    target: Float[Array, '*b'],
    mask: Bool[Array, '*b'],
    *,
    unbiased: bool = False,
    eps: float = 1e-8,
) -> Float[Array, '']:
  """Returns 1 - CCC (Lin, 1989) over the elements where `mask` is True.

  Moments are those of the population, over all elements at once, or divided by
  n - 1 if `unbiased`. `eps` is added to the denominator of the CCC, so that
  constant predictions of constant targets give 1 and not NaN.
  """
  pred, target = _keep(pred, mask), _keep(target, mask)
  mean_pred, mean_target = _mean(pred, mask), _mean(target, mask)
  # Deviations before products: E[x^2] - E[x]^2 cancels in float32.
  dev_pred = jnp.where(mask, pred - mean_pred, 0.0)
  dev_target = jnp.where(mask, target - mean_target, 0.0)
  count = jnp.sum(mask, dtype=jnp.float32)
  count = jnp.maximum(count - 1.0 if unbiased else count, 1.0)
  covariance = jnp.sum(dev_pred * dev_target) / count
  spread = jnp.sum(jnp.square(dev_pred) + jnp.square(dev_target)) / count
  bias = jnp.square(mean_pred - mean_target)
  ccc = 2 * covariance / (spread + bias + eps)
  return jnp.where(jnp.any(mask), 1 - ccc, 0.0)


def half_ccc_loss(
    pred: Float[Array, '*b'],
    target: Float[Array, '*b'],
    mask: Bool[Array, '*b'],
) -> Float[Array, '']:
  """Returns (1 - CCC) / 2 with unbiased variances, the loss of MT-EmotiEffNet.

  Reference: Savchenko, arXiv 2207.09508, whose code has no epsilon: constant
  predictions or labels are NaN there.
  """
  return ccc_loss(pred, target, mask, unbiased=True) / 2


def cross_entropy(
    logits: Float[Array, '*b k'],
    target: Int[Array, '*b'] | Float[Array, '*b k'],
    mask: Bool[Array, '*b'],
    *,
    weights: Float[Array, 'k'] | None = None,
    weigh_mean: bool = True,
    smoothing: float = 0.0,
    offset: Float[Array, 'k'] | None = None,
) -> Float[Array, '']:
  """Returns the mean cross-entropy of softmax(logits) where `mask` is True.

  Args:
    logits: unnormalised.
    target: class ids, or a distribution over the classes.
    mask: rows that count.
    weights: factor of each class; None is 1.
    weigh_mean: whether the sum is divided by the weights of the rows' classes,
      as in PyTorch, or by the number of rows.
    smoothing: share of the target that is spread evenly over all classes, each
      with its own weight.
    offset: is added to the logits. The logarithm of the classes' frequencies
      makes them those of balanced classes (Menon et al., arXiv 2007.07314).
  """
  size = logits.shape[-1]
  logits = _keep(logits, mask[..., None])
  if target.ndim < logits.ndim:
    target = jax.nn.one_hot(jnp.where(mask, target, 0), size)
  target = _keep(target, mask[..., None])
  flat = (1,) * (logits.ndim - 1) + (size,)
  weights = jnp.ones(flat) if weights is None else jnp.reshape(weights, flat)
  if offset is not None:
    logits = logits + jnp.reshape(offset, flat)
  spread = (1 - smoothing) * target + smoothing / size
  losses = -jnp.sum(weights * spread * jax.nn.log_softmax(logits), axis=-1)
  total = jnp.sum(jnp.where(mask, losses, 0.0))
  if weigh_mean:
    count = jnp.sum(weights * target)
  else:
    count = jnp.sum(mask, dtype=jnp.float32)
  return total / jnp.where(count > 0, count, 1.0)


def bce_loss(
    logits: Float[Array, '*b'],
    target: Real[Array, '*b'],
    mask: Bool[Array, '*b'],
    *,
    positive: Float[Array, 'k'] | None = None,
    negative: Float[Array, 'k'] | None = None,
) -> Float[Array, '']:
  """Returns the mean binary cross-entropy over the entries of a True `mask`.

  `target` is 0, 1 or a probability. For action units each (row, AU) pair is an
  entry, so an AU weighs as much as it has labels; `positive` and `negative` are
  factors of present and absent ones, by the last axis, None is 1. The mean is
  that of the entries, whatever their factors.
  """
  logits, target = _keep(logits, mask), _keep(target, mask)
  if positive is None and negative is None:
    return _mean(optax.sigmoid_binary_cross_entropy(logits, target), mask)
  present, absent = (
      jnp.reshape(1.0 if x is None else x, (1,) * (logits.ndim - 1) + (-1,))
      for x in (positive, negative)
  )
  losses = -present * target * jax.nn.log_sigmoid(logits)
  losses -= absent * (1 - target) * jax.nn.log_sigmoid(-logits)
  return _mean(losses, mask)


def _keep(x: Real[Array, '*b'], mask: Bool[Array, '*m']) -> Float[Array, '*b']:
  """Returns x in float32 where `mask` is True, 0 elsewhere."""
  return jnp.where(mask, x.astype(jnp.float32), 0.0)


def _mean(x: Float[Array, '*b'], mask: Bool[Array, '*b']) -> Float[Array, '']:
  """Returns the sum of x where `mask` is True over their number, 0 for 0/0."""
  count = jnp.sum(mask, dtype=jnp.float32)
  return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(count, 1.0)
