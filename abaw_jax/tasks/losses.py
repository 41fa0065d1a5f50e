"""Masked losses of the tasks.

Every loss computes in float32 and, if not stated otherwise, divides by the
number of elements with a True mask. Values with a False mask (sentinels, NaN)
affect neither loss nor gradient, because they are replaced before the first
operation. If the mask is False everywhere, loss and gradient are 0.

`multi_task_loss.MultiTaskLoss` sums these losses.
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
    weights: Float[Array, '*b'] | None = None,
    denominator: Real[Array, ''] | None = None,
) -> Float[Array, '']:
  """Returns the mean squared error over the elements where `mask` is True.

  Args:
    pred: predictions.
    target: labels.
    mask: True on valid elements.
    weights: factor of each square; None means 1. The mean still divides by the
      number of elements.
    denominator: replaces this number.
  """
  pred, target = _keep(pred, mask), _keep(target, mask)
  squares = jnp.square(pred - target)
  if weights is not None:
    squares *= _keep(weights, mask)
  if denominator is not None:
    return jnp.sum(squares) / denominator
  return _mean(squares, mask)


def ccc_loss(
    pred: Float[Array, '*b'],
    target: Float[Array, '*b'],
    mask: Bool[Array, '*b'],
    *,
    weights: Float[Array, '*b'] | None = None,
    unbiased: bool = False,
    eps: float = 1e-8,
) -> Float[Array, '']:
  """Returns 1 - CCC (Lin, 1989) over the elements where `mask` is True.

  Args:
    pred: predictions.
    target: labels.
    mask: True on valid elements.
    weights: factor of each element in all means, variances and in the covariance;
      None means 1. Only their ratios matter.
    unbiased: whether variances and covariance divide by n - 1 and not by n; with
      weights w by sum(w) - sum(w^2) / sum(w).
    eps: added to the denominator of the CCC, so that constant predictions and
      targets give a loss of 1 and not NaN.
  """
  if weights is not None:
    return _weighted_ccc_loss(
        pred, target, _keep(weights, mask), mask, unbiased=unbiased, eps=eps
    )
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
    *,
    weights: Float[Array, '*b'] | None = None,
) -> Float[Array, '']:
  """Returns (1 - CCC) / 2 with unbiased variances, the loss of MT-EmotiEffNet.

  Reference: Savchenko, arXiv 2207.09508. The published code has no epsilon, so
  constant predictions or labels give NaN there. `weights` as in `ccc_loss`.
  """
  return ccc_loss(pred, target, mask, weights=weights, unbiased=True) / 2


def cross_entropy(
    logits: Float[Array, '*b k'],
    target: Int[Array, '*b'] | Float[Array, '*b k'],
    mask: Bool[Array, '*b'],
    *,
    class_weights: Float[Array, 'k'] | None = None,
    class_weight_mean: str = 'weights',
    label_smoothing: float = 0.0,
    class_offsets: Float[Array, 'k'] | None = None,
) -> Float[Array, '']:
  """Returns the mean cross-entropy of softmax(logits) where `mask` is True.

  Args:
    logits: unnormalised log-probabilities.
    target: class ids, or a distribution over the classes.
    mask: True on valid rows.
    class_weights: factor of each class; None means 1.
    class_weight_mean: 'weights' divides the sum by the class weights of the
      rows, as in PyTorch; 'rows' divides it by the number of rows. 'product'
      multiplies the mean weight and the unweighted mean.
    label_smoothing: probability that is distributed evenly over all classes,
      each with its own weight.
    class_offsets: added to the logits. With the logarithm of the class
      frequencies the model learns the logits of balanced classes (Menon et al.,
      arXiv 2007.07314).
  """
  size = logits.shape[-1]
  logits = _keep(logits, mask[..., None])
  if target.ndim < logits.ndim:
    target = jax.nn.one_hot(jnp.where(mask, target, 0), size)
  target = _keep(target, mask[..., None])
  flat = (1,) * (logits.ndim - 1) + (size,)
  weights = jnp.ones(size) if class_weights is None else class_weights
  weights = jnp.reshape(weights, flat)
  if class_offsets is not None:
    logits = logits + jnp.reshape(class_offsets, flat)
  smoothed = (1 - label_smoothing) * target + label_smoothing / size
  factor = jnp.float32(1.0)
  if class_weight_mean == 'product':
    factor = _mean(jnp.sum(weights * target, axis=-1), mask)
    weights = jnp.ones_like(weights)
  losses = -jnp.sum(weights * smoothed * jax.nn.log_softmax(logits), axis=-1)
  total = jnp.sum(jnp.where(mask, losses, 0.0))
  if class_weight_mean == 'weights':
    count = jnp.sum(weights * target)
  else:
    count = jnp.sum(mask, dtype=jnp.float32)
  return factor * total / jnp.where(count > 0, count, 1.0)


def bce_loss(
    logits: Float[Array, '*b'],
    target: Real[Array, '*b'],
    mask: Bool[Array, '*b'],
    *,
    positive: Float[Array, 'k'] | None = None,
    negative: Float[Array, 'k'] | None = None,
) -> Float[Array, '']:
  """Returns the mean binary cross-entropy over elements with a True mask.

  Every (row, AU) pair is an element, so an AU with more labels has more weight.
  The mean divides by the number of elements, not by their factors.

  Args:
    logits: unnormalised log-odds.
    target: 0, 1 or a probability.
    mask: True on valid elements.
    positive: factor of each AU where it is present; None means 1.
    negative: factor of each AU where it is absent; None means 1.
  """
  logits, target = _keep(logits, mask), _keep(target, mask)
  if positive is None and negative is None:
    return _mean(optax.sigmoid_binary_cross_entropy(logits, target), mask)
  present, absent = _factors(positive, negative, logits)
  losses = -present * target * jax.nn.log_sigmoid(logits)
  losses -= absent * (1 - target) * jax.nn.log_sigmoid(-logits)
  return _mean(losses, mask)


def focal_loss(
    logits: Float[Array, '*b'],
    target: Real[Array, '*b'],
    mask: Bool[Array, '*b'],
    *,
    gamma: float,
    positive: Float[Array, 'k'] | None = None,
    negative: Float[Array, 'k'] | None = None,
) -> Float[Array, '']:
  """Returns the mean focal loss (Lin et al., arXiv 1708.02002).

  The cross-entropy of an element is multiplied by (1 - p)^gamma, where p is the
  probability of its label. With `gamma` 0 it is the `bce_loss`, whose other
  arguments it has; the paper's alpha is a factor `positive`, 1 - alpha `negative`.
  """
  logits, target = _keep(logits, mask), _keep(target, mask)
  present, absent = _factors(positive, negative, logits)
  log_p, log_rest = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
  losses = -present * target * jnp.exp(gamma * log_rest) * log_p
  losses -= absent * (1 - target) * jnp.exp(gamma * log_p) * log_rest
  return _mean(losses, mask)


def asymmetric_loss(
    logits: Float[Array, '*b'],
    target: Real[Array, '*b'],
    mask: Bool[Array, '*b'],
    *,
    gamma_pos: float,
    gamma_neg: float,
    clip: float,
    positive: Float[Array, 'k'] | None = None,
    negative: Float[Array, 'k'] | None = None,
) -> Float[Array, '']:
  """Returns the mean asymmetric loss (Ridnik et al., arXiv 2009.14119).

  It is a focal loss with an exponent `gamma_pos` where a unit is present and
  `gamma_neg` where it is absent. There, its probability is first reduced by `clip`,
  at least to 0, so that easy absent units have no loss. As in the paper, gradients
  include those of the focal factors; the published code can stop them. The other
  arguments are those of `bce_loss`.
  """
  logits, target = _keep(logits, mask), _keep(target, mask)
  present, absent = _factors(positive, negative, logits)
  log_p, log_rest = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
  losses = -present * target * jnp.exp(gamma_pos * log_rest) * log_p
  if clip:
    reduced = jax.nn.sigmoid(logits) - clip
    kept = reduced > 0
    log_p = jnp.log(jnp.where(kept, reduced, 1.0))
    # log(1 - p + clip) without cancellation for p near 1.
    log_rest = jnp.where(kept, jnp.logaddexp(log_rest, jnp.log(clip)), 0.0)
  losses -= absent * (1 - target) * jnp.exp(gamma_neg * log_p) * log_rest
  return _mean(losses, mask)


def _weighted_ccc_loss(pred, target, weights, mask, *, unbiased, eps):
  """Returns `ccc_loss` with weights that are 0 where `mask` is False."""
  pred, target = _keep(pred, mask), _keep(target, mask)
  total = jnp.sum(weights)
  # An all-masked batch has a loss of 0 and must not divide by 0.
  total = jnp.where(total > 0, total, 1.0)
  mean_pred = jnp.sum(weights * pred) / total
  mean_target = jnp.sum(weights * target) / total
  dev_pred, dev_target = pred - mean_pred, target - mean_target
  count = total
  if unbiased:
    count -= jnp.sum(jnp.square(weights)) / total
    # One element has no variance; its count is 0 or a rounding error.
    count = jnp.where(count > 1e-6 * total, count, total)
  covariance = jnp.sum(weights * dev_pred * dev_target) / count
  squares = jnp.square(dev_pred) + jnp.square(dev_target)
  spread = jnp.sum(weights * squares) / count
  bias = jnp.square(mean_pred - mean_target)
  ccc = 2 * covariance / (spread + bias + eps)
  return jnp.where(jnp.any(mask), 1 - ccc, 0.0)


def _factors(positive, negative, logits):
  """Returns both factors of the AUs with the axes of the logits; None means 1."""
  return (
      jnp.reshape(1.0 if x is None else x, (1,) * (logits.ndim - 1) + (-1,))
      for x in (positive, negative)
  )


def _keep(x: Real[Array, '*b'], mask: Bool[Array, '*m']) -> Float[Array, '*b']:
  """Returns x in float32 where `mask` is True, and 0 elsewhere."""
  return jnp.where(mask, x.astype(jnp.float32), 0.0)


def _mean(x: Float[Array, '*b'], mask: Bool[Array, '*b']) -> Float[Array, '']:
  """Returns the mean of x where `mask` is True; 0 if it never is."""
  count = jnp.sum(mask, dtype=jnp.float32)
  return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(count, 1.0)
