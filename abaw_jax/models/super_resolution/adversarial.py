"""The adversarial losses of a generator and of its discriminator."""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.models.layers import variables

Images = Float[Array, 'b h w 3']
Loss = Float[Array, '']


def losses(
    discriminator: nn.Module,
    weights: variables.Weights,
    fake: Images,
    real: Images,
) -> tuple[Loss, Loss, variables.Weights]:
  """Returns (loss of the generator, loss of the discriminator, `batch_stats`).

  Both are cross-entropies of logits. The first has no gradient to the weights, the
  second none to the images. As in Real-ESRGAN, the discriminator sees three batches
  one after the other, and each moves the vectors of its spectral norms.

  Args:
    discriminator: maps images to logits.
    weights: of the discriminator, with their `batch_stats`.
    fake: images that the generator made.
    real: images that it should make.
  """
  params, statistics = variables.split(weights)

  def logits(params, images):
    nonlocal statistics
    output, statistics = variables.apply(
        discriminator, params | statistics, images, train=True
    )
    return output

  fooled = logits(jax.lax.stop_gradient(params), fake)
  accepted = logits(params, real)
  rejected = logits(params, jax.lax.stop_gradient(fake))
  generator = jnp.mean(jax.nn.softplus(-fooled))
  right = jnp.mean(jax.nn.softplus(-accepted))
  wrong = jnp.mean(jax.nn.softplus(rejected))
  return generator, right + wrong, statistics[variables.STATISTICS]
