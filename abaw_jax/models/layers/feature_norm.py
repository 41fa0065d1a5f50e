"""Normalisation of features by statistics of the training set."""

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class FeatureNorm(nn.Module):
  """Subtracts a mean and divides by a standard deviation, per channel.

  Both are float32 [d] in the collection `batch_stats`. Training steps do not
  change them; the start of a run sets them to the statistics of its training
  set. The initial values 0 and 1 leave features unchanged.
  """

  @nn.compact
  def __call__(
      self, x: Float[Array, 'b t d'], mask: Bool[Array, 'b t']
  ) -> Float[Array, 'b t d']:
    """Returns normalised float32 frames; masked frames are unchanged."""
    width = x.shape[-1:]
    mean = self.variable('batch_stats', 'mean', jnp.zeros, width, jnp.float32)
    std = self.variable('batch_stats', 'std', jnp.ones, width, jnp.float32)
    x = x.astype(jnp.float32)
    normalised = (x - mean.value[None, None]) / std.value[None, None]
    return jnp.where(mask[..., None], normalised, x)
