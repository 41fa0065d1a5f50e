"""Losses that tell people apart, over logits that may be split by columns.

All of them reduce over the last axis by sums and maxima alone: where columns lie
on several devices, each sends one number per row and nothing is gathered.
"""

from collections.abc import Callable
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Cosines = Float[Array, '*b']

# Below this 1 - cosine^2 is rounding, and the root has no finite gradient at 0.
_EPS = 1e-7


def arcface(
    cosines: Cosines, margin: float, *, easy_margin: bool = False
) -> Cosines:
  """Returns the cosines of the angles made larger by `margin`, in radians.

  ArcFace (Deng et al., arXiv 1801.07698, equation 3). Beyond pi the cosine would
  rise again: an angle above pi - margin gets cos - margin sin(margin) instead,
  which falls on. With `easy_margin` only angles below pi / 2 get a margin.
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
  """Returns the cosines less `margin` (Wang et al., arXiv 1801.09414).

  With `easy_margin` only those above 0.
  """
  smaller = cosines - margin
  return jnp.where(cosines > 0, smaller, cosines) if easy_margin else smaller


# What the logit of the right person becomes.
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
  """Returns -log softmax of each row at its target.

  Args:
    logits: those of columns from `num_classes` on do not count.
    target: True in one column of each row.
    num_classes: columns that count.
  """
  counted = jnp.arange(logits.shape[-1])[None] < num_classes
  total = jax.nn.logsumexp(jnp.where(counted, logits, -jnp.inf), axis=-1)
  return total - at_target(logits, target)


def at_target(
    logits: Float[Array, 'b k'], target: Bool[Array, 'b k']
) -> Float[Array, 'b']:
  """Returns the logit of each row's target."""
  # A sum, because picking out a column would gather those of all devices.
  return jnp.sum(jnp.where(target, logits, 0.0), axis=-1)
