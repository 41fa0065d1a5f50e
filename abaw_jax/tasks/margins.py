"""Margin losses of identities, on logits that may be split over columns.

Reductions over the last axis are only sums and maxima. So if the columns are on
several devices, each device sends one number per row and no logits are
gathered.
"""

from collections.abc import Callable
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Cosines = Float[Array, '*b']

# Minimum of 1 - cosine^2, because the gradient of the root is infinite at 0.
_EPS = 1e-7


def arcface(
    cosines: Cosines, margin: float, *, easy_margin: bool = False
) -> Cosines:
  """Returns cos(angle + margin) for the angles of `cosines`, in radians.

  ArcFace (Deng et al., arXiv 1801.07698, equation 3). Above pi the cosine would
  increase again, so an angle above pi - margin gets cos(angle) - margin
  sin(margin), which keeps decreasing. With `easy_margin` only angles below pi /
  2 get a margin.
  """
  sines = jnp.sqrt(jnp.maximum(1.0 - cosines * cosines, _EPS))
  larger = cosines * math.cos(margin) - sines * math.sin(margin)
  if easy_margin:
    return jnp.where(cosines > 0, larger, cosines)
  return jnp.where(
      cosines > math.cos(math.pi - margin),
      larger,
      cosines - margin * math.sin(margin),
  )


def cosface(
    cosines: Cosines, margin: float, *, easy_margin: bool = False
) -> Cosines:
  """Returns cosines - margin (CosFace, Wang et al., arXiv 1801.09414).

  With `easy_margin` only cosines above 0 get a margin.
  """
  smaller = cosines - margin
  return jnp.where(cosines > 0, smaller, cosines) if easy_margin else smaller


# Margin functions of the target logit.
MARGINS: dict[str, Callable[..., Cosines] | None] = {
    'softmax': None,
    'arcface': arcface,
    'cosface': cosface,
}


def cross_entropy(
    logits: Float[Array, 'b k'],
    target: Bool[Array, 'b k'],
    *,
    num_classes: int,
) -> Float[Array, 'b']:
  """Returns -log softmax of each row at the column where `target` is True.

  Columns from `num_classes` on are padding.
  """
  is_class = jnp.arange(logits.shape[-1])[None] < num_classes
  total = jax.nn.logsumexp(jnp.where(is_class, logits, -jnp.inf), axis=-1)
  return total - target_logits(logits, target)


def target_logits(
    logits: Float[Array, 'b k'], target: Bool[Array, 'b k']
) -> Float[Array, 'b']:
  """Returns the target logit of each row."""
  # A sum, because indexing would gather the columns of all devices.
  return jnp.sum(jnp.where(target, logits, 0.0), axis=-1)
