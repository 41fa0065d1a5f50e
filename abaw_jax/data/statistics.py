"""Mean and standard deviation of features, in float64 and mergeable."""

import dataclasses

from jaxtyping import Float
import numpy as np


@dataclasses.dataclass(frozen=True)
class Moments:
  """Mean and squared deviations of each feature.

  Attributes:
    count: number of frames.
    mean: mean of each feature.
    squares: sum of the squared deviations from the mean.
  """

  count: int
  mean: Float[np.ndarray, 'd']
  squares: Float[np.ndarray, 'd']

  @classmethod
  def of(cls, features: Float[np.ndarray, 'n d']) -> 'Moments':
    """Returns the moments of n frames, at least 1."""
    # The first frame is subtracted, so a constant feature has squares of exactly 0.
    centered = features.astype(np.float64) - features[0]
    shift = centered.mean(axis=0)
    squares = np.square(centered - shift).sum(axis=0)
    return cls(len(features), features[0] + shift, squares)

  @classmethod
  def zeros(cls, count: int, dim: int) -> 'Moments':
    """Returns the moments of `count` frames of zeros; `count` may be 0."""
    return cls(count, np.zeros(dim), np.zeros(dim))

  def merge(self, other: 'Moments') -> 'Moments':
    """Returns the moments of all frames (Chan, Golub and LeVeque, 1979)."""
    count = self.count + other.count
    if not self.count or not other.count:
      return other if other.count else self
    delta = other.mean - self.mean
    share = other.count / count
    return Moments(
        count,
        self.mean + delta * share,
        self.squares + other.squares + delta**2 * (self.count * share),
    )

  def std(self, *, ddof: int) -> Float[np.ndarray, 'd']:
    """Returns the standard deviation; 1 where it is 0 or not defined.

    Args:
      ddof: the squares are divided by `count - ddof`.
    """
    std = np.sqrt(self.squares / max(self.count - ddof, 1))
    return np.where(std > 0, std, 1.0)
