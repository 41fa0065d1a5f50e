"""The concordance correlation coefficient, as moments that merge."""

from __future__ import annotations

import dataclasses
import math

from jaxtyping import Bool, Float
import numpy as np

from abaw_jax.scoring import values


@dataclasses.dataclass(frozen=True)
class CCCMoments:
  """Population moments of predictions and targets, without the division by n.

  Merging follows the pairwise update of Chan, Golub and LeVeque (1983), which
  does not cancel as raw sums of squares do.
  """

  n: int = 0
  mean_pred: float = 0.0
  mean_target: float = 0.0
  m2_pred: float = 0.0  # sum of squared deviations from the mean
  m2_target: float = 0.0
  co_moment: float = 0.0  # sum of products of the deviations

  @classmethod
  def of(
      cls,
      pred: Float[np.ndarray, '*b'],
      target: Float[np.ndarray, '*b'],
      mask: Bool[np.ndarray, '*b'],
  ) -> CCCMoments:
    """Returns the moments of the rows where `mask` is True.

    Raises ValueError where a row that counts is not finite; rows under a False
    mask may hold anything.
    """
    pred = pred[mask].astype(np.float64)
    target = target[mask].astype(np.float64)
    values.check(np.isfinite(pred), 'predictions that are not finite')
    values.check(np.isfinite(target), 'labels that are not finite')
    if not pred.size:
      return cls()
    # Measured from the first row, a constant has exactly its value as mean and
    # exactly 0 as deviation; a plain mean may miss it by one rounding.
    mean_pred = pred[0] + np.mean(pred - pred[0])
    mean_target = target[0] + np.mean(target - target[0])
    return cls(
        n=pred.size,
        mean_pred=float(mean_pred),
        mean_target=float(mean_target),
        m2_pred=float(np.sum((pred - mean_pred) ** 2)),
        m2_target=float(np.sum((target - mean_target) ** 2)),
        co_moment=float(np.sum((pred - mean_pred) * (target - mean_target))),
    )

  def merge(self, other: CCCMoments) -> CCCMoments:
    """Returns the moments of the rows of both."""
    if not other.n:
      return self
    if not self.n:
      return other
    n = self.n + other.n
    pred = other.mean_pred - self.mean_pred
    target = other.mean_target - self.mean_target
    weight = self.n * other.n / n
    return CCCMoments(
        n=n,
        mean_pred=self.mean_pred + pred * other.n / n,
        mean_target=self.mean_target + target * other.n / n,
        m2_pred=self.m2_pred + other.m2_pred + pred**2 * weight,
        m2_target=self.m2_target + other.m2_target + target**2 * weight,
        co_moment=self.co_moment + other.co_moment + pred * target * weight,
    )

  def ccc(self) -> float:
    """Returns the concordance correlation coefficient (Lin, 1989), in [-1, 1].

    0 where predictions and labels are one and the same constant, for which it
    is undefined; NaN without rows.
    """
    if not self.n:
      return math.nan
    bias = self.mean_pred - self.mean_target
    denominator = self.m2_pred + self.m2_target + self.n * bias**2
    return 2 * self.co_moment / denominator if denominator else 0.0
