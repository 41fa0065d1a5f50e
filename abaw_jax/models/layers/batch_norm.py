"""Batch normalisation with the statistics that PyTorch keeps."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

# Mean and variance of each channel.
Moments = tuple[Float[Array, '_'], Float[Array, '_']]


class BatchNorm(nn.Module):
  """Normalises channels by the statistics of the batch (Ioffe and Szegedy, 2015).

  Over all devices: the mean of a batch that is split over a mesh is that of the
  whole batch. Statistics are float32, in the collection `batch_stats`.

  Attributes:
    epsilon: added to the variance.
    momentum: share of the batch in the new running statistics, as PyTorch's.
      Their variance is the unbiased one, that of the batch the biased one.
    use_scale: whether there is a scale, or it is 1 for good.
    frozen: whether running statistics are used, and stay, in training too.
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
      of_batch: Moments | None = None,
  ) -> Float[Array, '*b d']:
    """Returns normalised `x`; `train` with fewer than two values is an error.

    Args:
      x: values, whose last axis are channels.
      train: whether statistics are those of the batch.
      of_batch: `moments(x)`, where they are known; None computes them.
    """
    width = x.shape[-1:]
    mean = self.variable('batch_stats', 'mean', jnp.zeros, width, jnp.float32)
    var = self.variable('batch_stats', 'var', jnp.ones, width, jnp.float32)
    if train and not self.frozen:
      used_mean, used_var = of_batch or moments(x)
      self._move(mean, var, (used_mean, used_var), x.size // x.shape[-1])
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

  def _move(self, mean, var, of_batch, count):
    """Moves the running statistics to those of the batch."""
    if count < 2:
      raise ValueError('one value per channel has no variance: batch too small')
    if not self.is_initializing() and self.is_mutable_collection('batch_stats'):
      batch_mean, batch_var = of_batch
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
