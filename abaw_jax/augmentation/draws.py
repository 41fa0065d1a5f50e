"""Random choices of one image, from uniform numbers that are drawn at once."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
import numpy as np

# Traced, or known when a program is compiled.
Number = Float[Array, ''] | float
Integer = Int[Array, ''] | int
Flag = Bool[Array, ''] | bool


class Draws:
  """Uniform numbers; each is used once.

  One call of the generator compiles much faster than one for each choice.
  """

  def __init__(self, key: PRNGKeyArray, count: int):
    """Draws `count` numbers."""
    self._numbers = iter(jax.random.uniform(key, (count,)))

  def uniform(
      self, limits: Sequence[Number] | Float[Array, '2']
  ) -> Float[Array, '']:
    """Returns a number between two limits."""
    return limits[0] + next(self._numbers) * (limits[1] - limits[0])

  def happens(self, probability: float) -> Bool[Array, '']:
    """Returns True with this probability."""
    return next(self._numbers) < probability

  def index(self, probs: Sequence[float]) -> Int[Array, '']:
    """Returns an index with these probabilities, up to a common factor."""
    bounds = np.cumsum(probs)[:-1] / np.sum(probs)
    number = next(self._numbers)
    return sum(
        (number >= np.float32(bound)).astype(jnp.int32) for bound in bounds
    )
