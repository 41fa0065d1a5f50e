"""Random choices of one image, from uniform numbers that are drawn at once.

One call of the generator compiles much faster than one for each choice.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Traced, or known when a program is compiled.
Number = Float[Array, ''] | float
Integer = Int[Array, ''] | int
Flag = Bool[Array, ''] | bool


class Draws:
  """Uniform numbers in [0, 1); each is used once."""

  def __init__(self, numbers: Float[Array, 'n']):
    self._numbers = iter(numbers)

  def uniform(
      self, limits: Sequence[Number] | Float[Array, '2']
  ) -> Float[Array, '']:
    """Returns a number between two limits."""
    return limits[0] + next(self._numbers) * (limits[1] - limits[0])

  def happens(self, probability: Number) -> Bool[Array, '']:
    """Returns True with this probability."""
    return next(self._numbers) < probability

  def index(self, probs: Sequence[Number]) -> Int[Array, '']:
    """Returns an index with these probabilities, up to a common factor."""
    bounds = jnp.cumsum(jnp.array(probs, jnp.float32))
    number = next(self._numbers) * bounds[-1]
    return jnp.sum(number >= bounds[:-1], dtype=jnp.int32)
