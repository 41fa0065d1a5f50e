"""Policies that say which activations the forward pass saves."""

import jax

from abaw_jax.cpu import dense_vjp

# The backward pass recomputes all other activations. 'dots' saves the outputs
# of dense layers and convolutions; it recomputes attention, norms and
# activations.
POLICIES = {
    'none': jax.checkpoint_policies.everything_saveable,
    'dots': jax.checkpoint_policies.save_only_these_names(
        dense_vjp.CHECKPOINT_NAME
    ),
    'all': jax.checkpoint_policies.nothing_saveable,
}
