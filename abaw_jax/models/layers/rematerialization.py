"""Policies that say which activations the forward pass saves."""

import jax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

_PRODUCT = 'product'

# The backward pass recomputes all other activations. 'dots' saves the outputs
# of dense layers and convolutions; it recomputes attention, norms and
# activations.
POLICIES = {
    'none': jax.checkpoint_policies.everything_saveable,
    'dots': jax.checkpoint_policies.save_only_these_names(_PRODUCT),
    'all': jax.checkpoint_policies.nothing_saveable,
}


def product(x: Float[Array, '*d']) -> Float[Array, '*d']:
  """Returns `x`, marked as an output of a dense layer or a convolution."""
  return checkpoint_name(x, _PRODUCT)
