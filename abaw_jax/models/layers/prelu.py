"""Parametric ReLU."""

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class PReLU(nn.Module):
  """Parametric ReLU, one slope per channel (He et al., arXiv 1502.01852)."""

  @nn.compact
  def __call__(self, x: Float[Array, '*b d']) -> Float[Array, '*b d']:
    """Returns `x` where it is positive, and `x` times the slope elsewhere."""
    slope = self.param('slope', nn.initializers.constant(0.25), x.shape[-1:])
    slope = slope.reshape((1,) * (x.ndim - 1) + slope.shape)
    return jnp.where(x > 0, x, slope.astype(x.dtype) * x)
