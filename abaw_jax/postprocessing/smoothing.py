"""Smoothing of predictions over the rows of a video.

Every kind is a normalised average (or the median) over the rows of the same
video within reach; at the ends of a video the window is cut off and what is
left is normalised. s-Aff-Wild2 is a sparse sample of frames: `by='row'` counts
rows, as AIM3-RUC and HSE-NN's box filters do, `by='frame'` true time, where a
gap of a thousand frames separates. A frame that the list repeats is so many rows.

Published settings in these terms: AIM3's `w` is mean by row of width w; HSE's
half width `d` is mean by row of width d. HSE's `exp(-(n_i - n_j)^2 / sigma)` is
Gaussian by frame of width sqrt(sigma / 2); its sigma of 1e5 within 10 rows is
nearly mean by row of width 10.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from jaxtyping import Float, Int
import numpy as np

from abaw_jax.scoring import predictions

BY = ('row', 'frame')
# A Gaussian ends where its weight is below 4e-4 of that in the middle.
_REACH = 4
# Values that the median sorts at once, which bounds its memory.
_AT_ONCE = 1 << 22


@dataclasses.dataclass(frozen=True)
class Smoothing:
  """How far and how to smooth.

  `width` is in rows or frames: the half width of `mean` and `median`, the
  standard deviation of `gaussian`; `none` has none.
  """

  kind: str = 'none'  # a key of KINDS
  by: str = 'row'  # one of BY
  width: float | int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Timeline:
  """The rows of all videos in the order of time."""

  order: Int[np.ndarray, 'n']  # positions of the rows, by video and frame
  video: Int[np.ndarray, 'n']  # number of the video of each, ascending
  frame: Int[np.ndarray, 'n']

  @classmethod
  def of(cls, rows: predictions.Predictions) -> Timeline:
    """Returns the timeline of some rows."""
    _, video = np.unique(rows.video, return_inverse=True)
    order = np.lexsort((rows.row, rows.frame_id, video))
    return cls(order, video[order], rows.frame_id[order])

  def places(self, by: str, reach: float | int) -> Int[np.ndarray, 'n']:
    """Returns where each row is on one line, videos further than `reach` apart.

    In rows or frames, ascending.
    """
    if by == 'row':
      place = np.arange(len(self.video))
    else:
      place = self.frame.astype(np.int64)
    span = int(place.max(initial=0)) + int(reach) + 1
    return place + self.video * span


def smooth(
    values: Float[np.ndarray, 'n k'], timeline: Timeline, how: Smoothing
) -> Float[np.ndarray, 'n k']:
  """Returns the values averaged over their neighbours, columns apart."""
  if how.kind == 'none':
    return values
  result = np.empty_like(values)
  result[timeline.order] = KINDS[how.kind](
      values[timeline.order], timeline, how
  )
  return result


def _mean(
    values: Float[np.ndarray, 'n k'], timeline: Timeline, how: Smoothing
) -> Float[np.ndarray, 'n k']:
  """Returns the mean over |place - place'| <= width."""
  first, last = _windows(timeline, how)
  zero = np.zeros([1, values.shape[-1]])
  sums = np.concatenate([zero, np.cumsum(values, axis=0)])
  means = (sums[last] - sums[first]) / (last - first)[:, None]
  # Differences of long sums may leave the range of the values by a rounding.
  return np.clip(means, values.min(axis=0), values.max(axis=0))


def _gaussian(
    values: Float[np.ndarray, 'n k'], timeline: Timeline, how: Smoothing
) -> Float[np.ndarray, 'n k']:
  """Returns the average with weights exp(-(distance / width)^2 / 2)."""
  reach = _REACH * how.width
  place = timeline.places(how.by, reach)
  values = np.ascontiguousarray(values.T)  # [k, n], so that slices are dense
  total, weights = values.copy(), np.ones(len(place))
  for step in range(1, len(place)):
    distance = place[step:] - place[:-step]
    near = distance <= reach
    if not near.any():
      break
    weight = np.where(near, np.exp(-0.5 * (distance / how.width) ** 2), 0.0)
    total[:, :-step] += weight * values[:, step:]
    total[:, step:] += weight * values[:, :-step]
    weights[:-step] += weight
    weights[step:] += weight
  return (total / weights).T


def _median(
    values: Float[np.ndarray, 'n k'], timeline: Timeline, how: Smoothing
) -> Float[np.ndarray, 'n k']:
  """Returns the median over |place - place'| <= width."""
  first, last = _windows(timeline, how)
  result = np.empty_like(values)
  lengths = last - first
  for length in np.unique(lengths):
    same = np.flatnonzero(lengths == length)
    parts = -(-same.size * length * values.shape[-1] // _AT_ONCE)
    for rows in np.array_split(same, parts):
      window = first[rows, None] + np.arange(length)  # [rows, length]
      result[rows] = np.median(values[window], axis=1)
  return result


def _windows(
    timeline: Timeline, how: Smoothing
) -> tuple[Int[np.ndarray, 'n'], Int[np.ndarray, 'n']]:
  """Returns the first row within reach of each, and the one behind the last."""
  place = timeline.places(how.by, how.width)
  first = np.searchsorted(place, place - how.width, side='left')
  last = np.searchsorted(place, place + how.width, side='right')
  return first, last


KINDS: dict[str, Callable] = {
    'none': lambda values, timeline, how: values,
    'mean': _mean,
    'gaussian': _gaussian,
    'median': _median,
}
