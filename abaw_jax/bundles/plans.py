"""Windows of a track of unknown length, planned while its frames arrive."""

import abc
from typing import NamedTuple

from jaxtyping import Float, Int
import numpy as np


class Window(NamedTuple):
  """Consecutive frames that a network reads at once.

  Attributes:
    features: one vector per frame.
    frame_id: number of each frame in its clip.
    keep: frames whose outputs are used.
    length: length to which the network pads the window.
    window_length: frames of the window that a network without a padding mask reads.
  """

  features: Float[np.ndarray, 't d']
  frame_id: Int[np.ndarray, 't']
  keep: slice
  length: int
  window_length: int


class Plan(abc.ABC):
  """Keeps the frames that later windows need; memory does not grow."""

  # Whether a network reads every window without the state after the window before.
  restarts = False

  def __init__(self):
    self._features: Float[np.ndarray, 'n d'] | None = None
    self._frame_id: Int[np.ndarray, 'n'] | None = None
    self._first = 0  # position in the track of the first frame that is kept

  @abc.abstractmethod
  def push(
      self, features: Float[np.ndarray, 'n d'], frame_id: Int[np.ndarray, 'n']
  ) -> list[Window]:
    """Returns the windows that are complete with these new frames."""

  def finish(self) -> list[Window]:
    """Returns the windows of the frames that are left at the end of the track."""
    return []

  @property
  def _end(self) -> int:
    """Number of frames of the track."""
    kept = 0 if self._features is None else len(self._features)
    return self._first + kept

  def _append(self, features, frame_id) -> None:
    if self._features is None:
      self._features, self._frame_id = features[:0], frame_id[:0]
    self._features = np.concatenate([self._features, features])
    self._frame_id = np.concatenate([self._frame_id, frame_id])

  def _drop_before(self, position: int) -> None:
    count = max(position - self._first, 0)
    self._features = self._features[count:]
    self._frame_id = self._frame_id[count:]
    self._first += count

  def _window(self, start: int, stop: int, keep: slice, length: int) -> Window:
    rows = slice(start - self._first, stop - self._first)
    return Window(
        self._features[rows], self._frame_id[rows], keep, length, length
    )


class Chunks(Plan):
  """Parts of any length, for networks that give the same outputs for every split.

  A chunk has one of two lengths after padding, so that little is compiled.
  """

  LENGTH = 32

  def push(self, features, frame_id) -> list[Window]:
    starts = range(0, len(features), self.LENGTH)
    parts = [slice(start, start + self.LENGTH) for start in starts]
    return [
        _chunk(features[part], frame_id[part], self.LENGTH) for part in parts
    ]


def _chunk(features, frame_id, longest: int) -> Window:
  count = len(features)
  return Window(
      features,
      frame_id,
      slice(0, count),
      1 if count == 1 else longest,
      count,
  )


class Windows(Plan):
  """Windows of `length` frames whose starts are `stride` frames apart.

  Of each window, the `stride` frames in the middle are kept. So every frame but the
  first and the last ones has at least (length - stride) / 2 frames of context on
  each side. With stride == length these are the windows of `evaluate`, of which the
  last one may be shorter; otherwise the last one starts earlier, and is full if the
  track is long enough.
  """

  def __init__(self, length: int, stride: int):
    super().__init__()
    self._length = length
    self._stride = stride
    self._next = 0  # start of the next window
    self._kept = 0  # frames whose outputs are in the windows so far

  def push(self, features, frame_id) -> list[Window]:
    self._append(features, frame_id)
    windows = []
    margin = (self._length - self._stride) // 2
    while self._end >= self._next + self._length:
      kept = self._next + margin + self._stride
      windows.append(self._keep(self._next, kept))
      self._next += self._stride
    # The last window of the track may start up to one stride earlier.
    self._drop_before(self._next - self._stride)
    return windows

  def finish(self) -> list[Window]:
    if self._kept == self._end:
      return []
    start = self._next
    if self._stride < self._length:
      start = max(self._end - self._length, 0)
    return [self._keep(start, self._end)]

  def _keep(self, start: int, kept: int) -> Window:
    """Returns the window at `start`, with the outputs up to frame `kept`."""
    keep = slice(self._kept - start, kept - start)
    self._kept = kept
    stop = min(start + self._length, self._end)
    return self._window(start, stop, keep, self._length)


class Sliding(Plan):
  """For each frame, the window of up to `length` frames that ends with it."""

  restarts = True

  def __init__(self, length: int):
    super().__init__()
    self._length = length

  def push(self, features, frame_id) -> list[Window]:
    before = self._end
    self._append(features, frame_id)
    windows = []
    for stop in range(before + 1, self._end + 1):
      start = max(stop - self._length, 0)
      keep = slice(stop - start - 1, stop - start)
      windows.append(self._window(start, stop, keep, self._length))
    self._drop_before(self._end - self._length + 1)
    return windows
