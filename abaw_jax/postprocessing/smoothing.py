"""Smoothing of predictions over the rows of a video.

Every kind is a normalised average (or the median) over a window of rows of the same
video. At the ends of a video the window is cut off, and the rest is normalised.
s-Aff-Wild2 is a sparse sample of frames. `by='row'` measures distance in rows, like
the box filters of AIM3-RUC and HSE-NN; `by='frame'` measures it in frames, so that a
gap of a thousand frames separates rows. A frame that is listed twice is two rows.
`rows` also limits the window to this many rows to each side.

Published settings: AIM3's `w` is `mean` by row of width w; HSE's half width `d` is
`mean` by row of width d. HSE's `exp(-(n_i - n_j)^2 / sigma)` within `delta` rows is
`gaussian` by frame of width sqrt(sigma / 2) with `rows` = delta.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from jaxtyping import Float, Int
import numpy as np

from abaw_jax.scoring import predictions

BY = ('row', 'frame')
# Without `rows`, a Gaussian is cut off at 4 standard deviations, where its weight
# is below 4e-4.
_REACH = 4
# Values that the median sorts at once; this limits the memory.
_CHUNK = 1 << 22


@dataclasses.dataclass(frozen=True)
class Smoothing:
  """A kind of smoothing and its width.

  `width` is in rows or frames: the half width of `mean` and `median`, and the
  standard deviation of `gaussian`. `none` ignores it. `rows` is the largest number
  of rows to each side; None means no limit.
  """

  kind: str = 'none'  # a key of KINDS
  by: str = 'row'  # one of BY
  width: float | int = 0
  rows: int | None = None

  @property
  def reach(self) -> tuple[float, float]:
    """The most (rows, frames) from a row to another row of its window.

    Both limits hold; infinity means no limit.
    """
    if self.kind == 'none':
      return 0.0, np.inf
    rows = np.inf if self.rows is None else self.rows
    distance = self.width
    if self.kind == 'gaussian':
      distance = _REACH * self.width if self.rows is None else np.inf
    if self.by == 'row':
      return min(rows, distance), np.inf
    return rows, distance


@dataclasses.dataclass(frozen=True, eq=False)
class Timeline:
  """The rows of all videos in temporal order."""

  order: Int[np.ndarray, 'n']  # positions of the rows, by video and frame
  video: Int[np.ndarray, 'n']  # number of the video of each row, ascending
  frame: Int[np.ndarray, 'n']

  @classmethod
  def from_rows(cls, rows: predictions.Predictions) -> Timeline:
    """Returns the timeline of some rows."""
    _, video = np.unique(rows.video, return_inverse=True)
    order = np.lexsort((rows.row, rows.frame_id, video))
    return cls(order, video[order], rows.frame_id[order])

  def positions(self, by: str, reach: float | int) -> Int[np.ndarray, 'n']:
    """Returns the position of each row on one axis, ascending.

    Videos are more than `reach` apart. The unit is that of `by`.
    """
    if by == 'row':
      position = np.arange(len(self.video))
    else:
      position = self.frame.astype(np.int64)
    span = int(position.max(initial=0)) + int(reach) + 1
    return position + self.video * span


def smooth(
    values: Float[np.ndarray, 'n k'], timeline: Timeline, window: Smoothing
) -> Float[np.ndarray, 'n k']:
  """Returns every column averaged over the window of each row."""
  if window.kind == 'none':
    return values
  result = np.empty_like(values)
  result[timeline.order] = KINDS[window.kind](
      values[timeline.order], timeline, window
  )
  return result


def _mean(
    values: Float[np.ndarray, 'n k'], timeline: Timeline, window: Smoothing
) -> Float[np.ndarray, 'n k']:
  """Returns the mean over distances <= width."""
  first, last = _windows(timeline, window)
  zero = np.zeros([1, values.shape[-1]])
  sums = np.concatenate([zero, np.cumsum(values, axis=0)])
  means = (sums[last] - sums[first]) / (last - first)[:, None]
  # Differences of long sums may leave the range of the values by rounding.
  return np.clip(means, values.min(axis=0), values.max(axis=0))


def _gaussian(
    values: Float[np.ndarray, 'n k'], timeline: Timeline, window: Smoothing
) -> Float[np.ndarray, 'n k']:
  """Returns the average with weights exp(-(distance / width)^2 / 2)."""
  limited = window.rows is not None
  reach = np.inf if limited else _REACH * window.width
  most = min(len(values), window.rows + 1 if limited else len(values))
  position, video = timeline.positions(window.by, 0), timeline.video
  values = np.ascontiguousarray(values.T)  # [k, n]: slices are contiguous
  total, weights = values.copy(), np.ones(len(position))
  for step in range(1, most):
    distance = position[step:] - position[:-step]
    near = (video[step:] == video[:-step]) & (distance <= reach)
    if not near.any():
      break
    weight = np.where(near, np.exp(-0.5 * (distance / window.width) ** 2), 0.0)
    total[:, :-step] += weight * values[:, step:]
    total[:, step:] += weight * values[:, :-step]
    weights[:-step] += weight
    weights[step:] += weight
  return (total / weights).T


def _median(
    values: Float[np.ndarray, 'n k'], timeline: Timeline, window: Smoothing
) -> Float[np.ndarray, 'n k']:
  """Returns the median over distances <= width."""
  first, last = _windows(timeline, window)
  result = np.empty_like(values)
  lengths = last - first
  for length in np.unique(lengths):
    same = np.flatnonzero(lengths == length)
    parts = -(-same.size * length * values.shape[-1] // _CHUNK)
    for rows in np.array_split(same, parts):
      index = first[rows, None] + np.arange(length)  # [rows, length]
      result[rows] = np.median(values[index], axis=1)
  return result


def _windows(
    timeline: Timeline, window: Smoothing
) -> tuple[Int[np.ndarray, 'n'], Int[np.ndarray, 'n']]:
  """Returns the first row of each window, and the row after its last."""
  position = timeline.positions(window.by, window.width)
  first = np.searchsorted(position, position - window.width, side='left')
  last = np.searchsorted(position, position + window.width, side='right')
  if window.rows is None:
    return first, last
  row = np.arange(len(position))
  return (
      np.maximum(first, row - window.rows),
      np.minimum(last, row + window.rows + 1),
  )


KINDS: dict[str, Callable] = {
    'none': lambda values, timeline, window: values,
    'mean': _mean,
    'gaussian': _gaussian,
    'median': _median,
}
