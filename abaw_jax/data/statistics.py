"""Mean and spread of features, in float64 and mergeable."""

import dataclasses

from jaxtyping import Float
import numpy as np


@dataclasses.dataclass(frozen=True)
class Moments:
  """Of `count` frames per column: their mean, and the sum of squares about it."""

  count: int
  mean: Float[np.ndarray, 'd']
  squares: Float[np.ndarray, 'd']

  @classmethod
  def of(cls, features: Float[np.ndarray, 'n d']) -> 'Moments':
    """Returns the moments of n frames, at least 1."""
    # About the first frame, so that a constant column has squares of exactly 0.
    about = features.astype(np.float64) - features[0]
    shift = about.mean(axis=0)
    squares = np.square(about - shift).sum(axis=0)
    return cls(len(features), features[0] + shift, squares)

  @classmethod
  def zeros(cls, count: int, dim: int) -> 'Moments':
    """Returns the moments of so many frames of zeros, or of none."""
    return cls(count, np.zeros(dim), np.zeros(dim))

  def merge(self, other: 'Moments') -> 'Moments':
    """Returns the moments of both (Chan, Golub and LeVeque, 1979)."""
    count = self.count + other.count
    if not self.count or not other.count:
      return other if other.count else self
    apart = other.mean - self.mean
    share = other.count / count
    return Moments(
        count,
        self.mean + apart * share,
        self.squares + other.squares + apart**2 * (self.count * share),
    )

  def std(self, *, ddof: int) -> Float[np.ndarray, 'd']:
    """Returns the standard deviation; 1 where it is 0 or not defined.

    Args:
      ddof: what is taken from the count that the squares are divided by.
    """
    std = np.sqrt(self.squares / max(self.count - ddof, 1))
    return np.where(std > 0, std, 1.0)
