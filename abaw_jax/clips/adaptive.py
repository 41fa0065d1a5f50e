"""The adaptive frame rate on the faces of a track: few go through the backbone.

A track is cut into segments of `strides[0]` faces. The backbone reads the last face of
each, which is also the start of the next one. If the largest mean probability of an
expression over the faces that were read reaches a threshold, the segment is decided:
the features of its other faces are interpolated. Otherwise every `strides[1]`-th face
is read, and so on. Since each stride is a multiple of the next one, no face is read in
vain.

The idea and the rule of acceptance are those of `postprocessing.adaptive_frame_rate`.
Its windows move by one frame, so that with any stride every frame is read for some
window: that saves nothing on a video.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import itertools
from typing import NamedTuple

from jaxtyping import Bool, Float, Int
import numpy as np


class Anchor(NamedTuple):
  """The last face of a track so far."""

  index: int  # its frame
  features: Float[np.ndarray, 'd']
  prob: Float[np.ndarray, 'k']


@dataclasses.dataclass
class _Segment:
  """Faces from one that is read to the next one, both included."""

  left: int
  right: int
  is_decided: bool = False


class Reading:
  """The decisions about a run of faces of one track.

  Attributes:
    is_read: whether the backbone has read each face.
  """

  def __init__(
      self, frame_index: Sequence[int], length: int, anchor: Anchor | None
  ):
    """Starts without a decision.

    Args:
      frame_index: frames of the n faces, increasing.
      length: faces of a segment.
      anchor: the face before the first one; None at the start of a track.
    """
    # Position 0 is the anchor.
    self._has_anchor = anchor is not None
    first = [anchor.index] if anchor else []
    self._index = np.array([*first, *frame_index])
    self._features: dict[int, Float[np.ndarray, 'd']] = {}
    self._prob: dict[int, Float[np.ndarray, 'k']] = {}
    if anchor:
      self._features[0], self._prob[0] = anchor.features, anchor.prob
    last = len(self._index) - 1
    borders = [*range(0, last, length), last]
    self._segments = [
        _Segment(a, b) for a, b in itertools.pairwise(borders)
    ] or [_Segment(0, 0)]

  @property
  def is_read(self) -> Bool[np.ndarray, 'n']:
    """Whether the backbone has read each face."""
    known = np.isin(np.arange(len(self._index)), list(self._features))
    return known[self._has_anchor :]

  def wanted(self, stride: int) -> list[int]:
    """Returns the positions in the run that are to be read for a stride."""
    found = set()
    for segment in self._segments:
      if not segment.is_decided:
        found |= {*range(segment.left, segment.right, stride), segment.right}
    return [i - self._has_anchor for i in sorted(found - self._features.keys())]

  def add(
      self,
      positions: Sequence[int],
      features: Float[np.ndarray, 'm d'],
      prob: Float[np.ndarray, 'm k'],
  ) -> None:
    """Adds m faces that were read, at the positions of `wanted`."""
    for i, vector, p in zip(positions, features, prob, strict=True):
      self._features[i + self._has_anchor] = vector
      self._prob[i + self._has_anchor] = p

  def decide(self, threshold: float) -> None:
    """Accepts the segments whose mean probability reaches the threshold."""
    for segment in self._segments:
      if segment.is_decided:
        continue
      read = range(segment.left, segment.right + 1)
      known = [self._prob[i] for i in read if i in self._prob]
      segment.is_decided = bool(np.mean(known, axis=0).max() >= threshold)

  def features(self) -> Float[np.ndarray, 'n d']:
    """Returns the features of all faces, interpolated linearly in time."""
    positions = np.array(sorted(self._features))
    known = np.stack([self._features[i] for i in positions])
    right: Int[np.ndarray, 'n'] = np.searchsorted(
        positions, np.arange(self._has_anchor, len(self._index))
    )
    left = np.maximum(right - 1, 0)
    start, stop = self._index[positions[left]], self._index[positions[right]]
    here = self._index[self._has_anchor :]
    share = (here - start) / np.maximum(stop - start, 1)
    share = share[:, None].astype(known.dtype)
    # Exact where the share is 0 or 1.
    return known[left] * (1 - share) + known[right] * share

  def anchor(self) -> Anchor:
    """Returns the last face, where the next run of this track starts."""
    last = len(self._index) - 1
    return Anchor(
        int(self._index[last]), self._features[last], self._prob[last]
    )
