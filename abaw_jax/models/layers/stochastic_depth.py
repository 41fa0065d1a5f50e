"""Stochastic depth (Huang et al., arXiv 1603.09382)."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class DropPath(nn.Module):
  """Drops a residual branch, independently for each sample."""

  @nn.compact
  def __call__(
      self,
      x: Float[Array, 'b *d'],
      rate: float | Float[Array, ''],
      *,
      train: bool,
  ) -> Float[Array, 'b *d']:
    """Returns `x`, set to 0 for dropped samples and scaled up for the others.

    `rate` is the probability of a drop in [0, 1); an array in a scan over
    layers. Without `train` no sample is dropped.
    """
    if not train or (isinstance(rate, float) and rate == 0.0):
      return x
    shape = (x.shape[0],) + (1,) * (x.ndim - 1)
    keep = jax.random.bernoulli(self.make_rng('dropout'), 1.0 - rate, shape)
    return jnp.where(keep, x / (1.0 - rate), 0.0).astype(x.dtype)
