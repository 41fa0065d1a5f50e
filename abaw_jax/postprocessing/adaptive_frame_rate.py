"""The adaptive frame rate: expressions from as few frames as possible.

The expression of a frame comes from the mean probability over a window, the frames
at most `half` away. First only every `strides[0]`-th frame of the window is read.
If the largest mean probability is too low, every `strides[1]`-th is read, and so on
(Savchenko, ICML 2023, and its EXPR notebook of the 3rd ABAW).

Strides and `half` count the distinct predicted frames. They equal video frames only
if every frame of the video was predicted. s-Aff-Wild2 lists about one frame in six,
so there they count listed frames. Published costs, thresholds and strides count all
frames of a video.
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
# The share of wrong rows that the k-th of n strides may accept, from alpha: the
# same for all, or growing like the levels of Benjamini and Hochberg (1995).
LEVELS = {
    'fixed': lambda alpha, k, n: alpha,
    'growing': lambda alpha, k, n: alpha * k / n,
}


@dataclasses.dataclass(frozen=True)
class Plan:
  """Strides in the order in which they are tried, with their thresholds.

  A stride is accepted where the largest mean probability reaches its threshold.
  The last stride has no threshold and is always accepted.
  """

  strides: tuple[int, ...]
  thresholds: tuple[float, ...]
  half: int = HALF

  @classmethod
  def fixed(cls, stride: int, half: int = HALF) -> Plan:
    """Returns the plan that always reads every `stride`-th frame."""
    return cls((stride,), (), half)


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
  """The result of a plan, and its costs.

  `cost` is published: frames read by accepted strides over the frames of all
  windows. `read` is the share of frames that any window has read, which a network
  has to compute. It is larger, because rejected strides are read too and neighbours
  read different frames.
  """

  rows: predictions.Predictions  # with the expressions of the accepted strides
  stride: Int[np.ndarray, 'n']  # accepted stride of each row
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
  """Returns a plan with thresholds that are fitted to labelled training videos.

  Strides and `half` are in frames; strides decrease. `alpha` is the share of wrong
  rows, see LEVELS. Only rows with labelled expressions count.

  Raises:
    InputError: no row has an expression label.
  """
  if not rows.expr.any():
    raise errors.InputError(
        'thresholds of strides are fitted to labelled expressions, but no row has '
        'one; give predictions of the training split'
    )
  frames = _Frames.from_rows(rows)
  prob = rows.expression[frames.rows]
  target = rows.target_expression[rows.expr]
  found = []
  for k, stride in enumerate(strides[:-1], start=1):
    means = frames.means(prob, stride, half)[frames.index][rows.expr]
    level = LEVELS[levels](alpha, k, len(strides))
    correct = np.argmax(means, axis=-1) == target
    found.append(fit_threshold(means.max(axis=-1), correct, level))
  return Plan(tuple(strides), tuple(found), half)


def fit_threshold(
    score: Float[np.ndarray, 'n'], correct: Bool[np.ndarray, 'n'], level: float
) -> float:
  """Returns the lowest threshold that accepts few wrong rows.

  Candidates are the scores of correct rows. At most the share `level` of all rows
  may be wrong and exceed the threshold. It is infinite, so that nothing is
  accepted, if no candidate satisfies this.
  """
  candidates, wrong = score[correct], np.sort(score[~correct])
  exceed = wrong.size - np.searchsorted(wrong, candidates, side='right')
  return float(
      np.min(candidates, initial=np.inf, where=exceed / len(score) <= level)
  )


def apply(rows: predictions.Predictions, plan: Plan) -> Reading:
  """Returns the expressions of a plan; the other predictions stay the same."""
  frames = _Frames.from_rows(rows)
  prob = rows.expression[frames.rows]
  result = np.empty_like(prob)
  accepted = np.zeros(len(prob), int)
  read = np.zeros(len(prob), bool)
  undecided = np.ones(len(prob), bool)
  for stride, threshold in zip(
      plan.strides, (*plan.thresholds, -np.inf), strict=True
  ):
    means = frames.means(prob, stride, plan.half)
    read |= frames.read_by(undecided, stride, plan.half)
    now = undecided & (means.max(axis=-1) >= threshold)
    result[now], accepted[now] = means[now], stride
    undecided &= ~now
  _, used = frames.windows(accepted, plan.half)
  _, full = frames.windows(np.ones_like(accepted), plan.half)
  return Reading(
      rows=dataclasses.replace(rows, expression=result[frames.index]),
      stride=accepted[frames.index],
      cost=float(used.sum() / full.sum()),
      read=float(read.mean()),
  )


@dataclasses.dataclass(frozen=True, eq=False)
class _Frames:
  """The distinct frames of all videos in temporal order."""

  rows: Int[np.ndarray, 'm']  # one row of each frame
  index: Int[np.ndarray, 'n']  # the frame of each row
  first: Int[np.ndarray, 'm']  # first frame of its video
  last: Int[np.ndarray, 'm']

  @classmethod
  def from_rows(cls, rows: predictions.Predictions) -> _Frames:
    _, video = np.unique(rows.video, return_inverse=True)
    frames, first_row, index = np.unique(
        np.stack([video, rows.frame_id], axis=-1),
        axis=0,
        return_index=True,
        return_inverse=True,
    )
    _, start, number, size = np.unique(
        frames[:, 0], return_index=True, return_inverse=True, return_counts=True
    )
    first, last = start[number], (start + size - 1)[number]
    # In NumPy 2.0 the inverse has the axes of the input.
    return cls(first_row, index.reshape(-1), first, last)

  def windows(
      self, stride: int | Int[np.ndarray, 'm'], half: int
  ) -> tuple[Int[np.ndarray, 'm'], Int[np.ndarray, 'm']]:
    """Returns the first frame of each window, and the number of frames read."""
    position = np.arange(len(self.rows))
    start = np.maximum(position - half, self.first)
    return start, (np.minimum(position + half, self.last) - start) // stride + 1

  def means(
      self, prob: Float[np.ndarray, 'm k'], stride: int, half: int
  ) -> Float[np.ndarray, 'm k']:
    """Returns the mean over the window of each frame."""
    start, count = self.windows(stride, half)
    sums = _strided_sums(np.pad(prob, ((stride, 0), (0, 0))), stride)
    # The sums include earlier videos; the difference cancels them.
    return (sums[start + stride * count] - sums[start]) / count[:, None]

  def read_by(
      self, chosen: Bool[np.ndarray, 'm'], stride: int, half: int
  ) -> Bool[np.ndarray, 'm']:
    """Returns a mask of the frames that the windows of chosen frames read."""
    start, count = self.windows(stride, half)
    edges = np.zeros([len(chosen) + stride, 1], int)
    np.add.at(edges, start[chosen], 1)
    np.add.at(edges, (start + stride * count)[chosen], -1)
    return _strided_sums(edges, stride)[: len(chosen), 0] > 0


def _strided_sums(
    values: Float[np.ndarray, 'n k'] | Int[np.ndarray, 'n k'], stride: int
) -> Float[np.ndarray, 'n k'] | Int[np.ndarray, 'n k']:
  """Returns the running sum over every `stride`-th value up to each value."""
  count, width = values.shape
  padded = np.pad(values, ((0, -count % stride), (0, 0)))
  sums = np.cumsum(padded.reshape(-1, stride, width), axis=0)
  return sums.reshape(-1, width)[:count]
