"""Batch normalisation with PyTorch's running statistics."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

# Mean and variance of each channel.
Moments = tuple[Float[Array, '_'], Float[Array, '_']]


class BatchNorm(nn.Module):
  """Normalises channels by statistics of the batch (Ioffe and Szegedy, 2015).

  If a mesh splits the batch, statistics are those of the full batch. They are
  float32, in the collection `batch_stats`.

  Attributes:
    epsilon: added to the variance.
    momentum: weight of the batch in the running statistics, as in PyTorch. The
      running variance is unbiased, the variance of the batch is biased.
    use_scale: whether there is a trained scale; otherwise it is always 1.
    frozen: whether training also uses the running statistics, unchanged.
    dtype: dtype of the result.
  """

  epsilon: float = 1e-5
  momentum: float = 0.1
  use_scale: bool = True
  frozen: bool = False
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: Float[Array, '*b d'],
      *,
      train: bool,
      batch_moments: Moments | None = None,
  ) -> Float[Array, '*b d']:
    """Returns normalised `x`.

    Args:
      x: values with channels on the last axis.
      train: whether to use and track the statistics of the batch.
      batch_moments: `moments(x)` if known; None computes them.

    Raises:
      ValueError: `train` with fewer than two values per channel.
    """
    width = x.shape[-1:]
    mean = self.variable('batch_stats', 'mean', jnp.zeros, width, jnp.float32)
    var = self.variable('batch_stats', 'var', jnp.ones, width, jnp.float32)
    if train and not self.frozen:
      used_mean, used_var = batch_moments or moments(x)
      self._update(mean, var, (used_mean, used_var), x.size // x.shape[-1])
    else:
      used_mean, used_var = mean.value, var.value
    factor = jax.lax.rsqrt(used_var + self.epsilon)
    if self.use_scale:
      scale = self.param('scale', nn.initializers.ones, width, jnp.float32)
      factor = factor * scale
    bias = self.param('bias', nn.initializers.zeros, width, jnp.float32)
    axes = (1,) * (x.ndim - 1) + width
    shift = bias - used_mean * factor
    x = x.astype(jnp.float32) * factor.reshape(axes) + shift.reshape(axes)
    return x.astype(self.dtype)

  def _update(self, mean, var, batch_moments, count):
    """Moves the running statistics towards the statistics of the batch."""
    if count < 2:
      raise ValueError('one value per channel has no variance: batch too small')
    if not self.is_initializing() and self.is_mutable_collection('batch_stats'):
      batch_mean, batch_var = batch_moments
      unbiased = batch_var * (count / (count - 1))
      mean.value += self.momentum * (batch_mean - mean.value)
      var.value += self.momentum * (unbiased - var.value)


def moments(x: Float[Array, '*b d']) -> Moments:
  """Returns the float32 mean and biased variance of each channel."""
  x = x.astype(jnp.float32)
  axes = tuple(range(x.ndim - 1))
  mean = x.mean(axes)
  centred = x - mean.reshape((1,) * len(axes) + mean.shape)
  return mean, jnp.square(centred).mean(axes)
