"""Expressions from as few frames as are needed: the adaptive frame rate.

The expression of a frame is that of the mean probability over the frames within
`half` of it. Of these every `strides[0]`-th is read first; where the mean is not
sure enough, every `strides[1]`-th, and so on (Savchenko, ICML 2023; its EXPR
notebook of the 3rd ABAW).

Strides and `half` count the distinct frames that were predicted. Those are video
frames only if every frame of the video was: s-Aff-Wild2 lists about one in six,
and there all of this is about listed frames. Published costs, thresholds and
strides are about whole videos.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

from jaxtyping import Bool, Float, Int
import numpy as np

from abaw_jax.core import errors
from abaw_jax.scoring import predictions

STRIDES = (200, 100, 50, 10, 1)
HALF = 100
# The share of errors that the k-th of n strides may accept, from alpha: the same
# for each, or growing as Benjamini and Hochberg's (1995) levels do.
LEVELS = {
    'fixed': lambda alpha, k, n: alpha,
    'growing': lambda alpha, k, n: alpha * k / n,
}


@dataclasses.dataclass(frozen=True)
class Plan:
  """Which strides are tried, and how sure each of them must be.

  A stride is accepted where the largest mean probability reaches its threshold.
  The last has none: it is always accepted.
  """

  strides: tuple[int, ...]
  thresholds: tuple[float, ...]
  half: int = HALF

  @classmethod
  def fixed(cls, stride: int, half: int = HALF) -> Plan:
    """Returns the plan that reads every `stride`-th frame and no other."""
    return cls((stride,), (), half)


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
  """What a plan makes of some rows, and what it costs.

  `cost` is as published, the frames of the accepted windows over those of all
  windows. But windows of neighbours read different frames, and rejected ones are
  read, too: `read` is the share of frames that any window has looked at, which is
  what a network has to compute if every frame is to be answered.
  """

  rows: predictions.Predictions  # with the expressions of accepted windows
  stride: Int[np.ndarray, 'n']  # that was accepted for each row
  cost: float
  read: float


def fit(
    rows: predictions.Predictions,
    strides: Sequence[int],
    *,
    half: int = HALF,
    alpha: float = 0.1,
    levels: str = 'growing',
) -> Plan:
  """Returns the plan whose thresholds suit labelled rows of training videos.

  Args:
    rows: predictions of all rows of these videos; some have an expression.
    strides: in frames, falling.
    half: frames on each side of one that count for it.
    alpha: share of errors, see LEVELS.
    levels: a key of LEVELS.

  Raises:
    InputError: if no row has an expression.
  """
  if not rows.expr.any():
    raise errors.InputError(
        'thresholds of strides are fitted to expressions, and none of these rows '
        'has one; name predictions of the training split'
    )
  frames = _Frames.of(rows)
  prob = rows.expression[frames.rows]
  target = rows.target_expression[rows.expr]
  found = []
  for k, stride in enumerate(strides[:-1], start=1):
    means = frames.means(prob, stride, half)[frames.back][rows.expr]
    level = LEVELS[levels](alpha, k, len(strides))
    correct = np.argmax(means, axis=-1) == target
    found.append(threshold(means.max(axis=-1), correct, level))
  return Plan(tuple(strides), tuple(found), half)


def threshold(
    score: Float[np.ndarray, 'n'], correct: Bool[np.ndarray, 'n'], level: float
) -> float:
  """Returns the lowest score of a correct row that few errors exceed.

  Few are at most `level` of all rows. Infinite, so that nothing is accepted,
  where more exceed even the highest.
  """
  candidates, wrong = score[correct], np.sort(score[~correct])
  exceed = wrong.size - np.searchsorted(wrong, candidates, side='right')
  return float(
      np.min(candidates, initial=np.inf, where=exceed / len(score) <= level)
  )


def apply(rows: predictions.Predictions, plan: Plan) -> Reading:
  """Returns the expressions of a plan; everything else stays."""
  frames = _Frames.of(rows)
  prob = rows.expression[frames.rows]
  result = np.empty_like(prob)
  accepted = np.zeros(len(prob), int)
  read = np.zeros(len(prob), bool)
  open_ = np.ones(len(prob), bool)
  for stride, least in zip(
      plan.strides, (*plan.thresholds, -np.inf), strict=True
  ):
    means = frames.means(prob, stride, plan.half)
    read |= frames.looked_at(open_, stride, plan.half)
    now = open_ & (means.max(axis=-1) >= least)
    result[now], accepted[now] = means[now], stride
    open_ &= ~now
  _, used = frames.windows(accepted, plan.half)
  _, full = frames.windows(np.ones_like(accepted), plan.half)
  return Reading(
      rows=dataclasses.replace(rows, expression=result[frames.back]),
      stride=accepted[frames.back],
      cost=float(used.sum() / full.sum()),
      read=float(read.mean()),
  )


@dataclasses.dataclass(frozen=True, eq=False)
class _Frames:
  """The distinct frames of all videos in the order of time."""

  rows: Int[np.ndarray, 'm']  # a row of each
  back: Int[np.ndarray, 'n']  # the frame of each row
  first: Int[np.ndarray, 'm']  # first frame of its video
  last: Int[np.ndarray, 'm']

  @classmethod
  def of(cls, rows: predictions.Predictions) -> _Frames:
    _, video = np.unique(rows.video, return_inverse=True)
    frames, where, back = np.unique(
        np.stack([video, rows.frame_id], axis=-1),
        axis=0,
        return_index=True,
        return_inverse=True,
    )
    _, start, of, size = np.unique(
        frames[:, 0], return_index=True, return_inverse=True, return_counts=True
    )
    # The inverse of NumPy 2.0 has the axes of its input.
    return cls(where, back.reshape(-1), start[of], (start + size - 1)[of])

  def windows(
      self, stride: int | Int[np.ndarray, 'm'], half: int
  ) -> tuple[Int[np.ndarray, 'm'], Int[np.ndarray, 'm']]:
    """Returns the first frame of each one's window, and how many it has."""
    place = np.arange(len(self.rows))
    start = np.maximum(place - half, self.first)
    return start, (np.minimum(place + half, self.last) - start) // stride + 1

  def means(
      self, prob: Float[np.ndarray, 'm k'], stride: int, half: int
  ) -> Float[np.ndarray, 'm k']:
    """Returns the mean over each one's window."""
    start, count = self.windows(stride, half)
    sums = _strided_sums(np.pad(prob, ((stride, 0), (0, 0))), stride)
    # Sums reach back over other videos, which cancel.
    return (sums[start + stride * count] - sums[start]) / count[:, None]

  def looked_at(
      self, asked: Bool[np.ndarray, 'm'], stride: int, half: int
  ) -> Bool[np.ndarray, 'm']:
    """Returns which frames the windows of some frames hold."""
    start, count = self.windows(stride, half)
    edges = np.zeros([len(asked) + stride, 1], int)
    np.add.at(edges, start[asked], 1)
    np.add.at(edges, (start + stride * count)[asked], -1)
    return _strided_sums(edges, stride)[: len(asked), 0] > 0


def _strided_sums(
    values: Float[np.ndarray, 'n k'] | Int[np.ndarray, 'n k'], stride: int
) -> Float[np.ndarray, 'n k'] | Int[np.ndarray, 'n k']:
  """Returns the sum of each value and those whole strides before it."""
  count, width = values.shape
  padded = np.pad(values, ((0, -count % stride), (0, 0)))
  sums = np.cumsum(padded.reshape(-1, stride, width), axis=0)
  return sums.reshape(-1, width)[:count]
