"""Windows of consecutive frames over videos, each on its own."""

from typing import Any

import numpy as np

from abaw_jax.core import errors
from abaw_jax.sequences import videos as videos_lib

TAILS = ('shift', 'short')


class Windows:
  """Windows of up to `length` frames of one video, in the order of time.

  The windows of a video start at its frames 0, stride, 2 stride, ... as long as
  they bring a new one. The last may have fewer left than it holds. With the tail
  'shift' it starts earlier, so that it is full: in training a short window costs
  as much as a full one and teaches less, and an end of few frames would be
  learned without what leads to it. With 'short' it stays as short as it is, so
  that stride == length gives each frame once.

  A window is a dict as `Videos.frames` returns, with `start` (whether its video
  begins here), `window_length` (that is `length`) and `real`.

  Attributes:
    videos: what the windows are over.
  """

  def __init__(
      self,
      videos: videos_lib.Videos,
      *,
      length: int,
      stride: int,
      tail: str = 'short',
  ):
    """Plans the windows; reads nothing.

    Args:
      videos: normalised by anything but 'batch'.
      length: frames per window.
      stride: frames between the starts of two windows, at most `length`.
      tail: one of TAILS.

    Raises:
      InputError: the stride in the config would lose frames.
    """
    if not 0 < stride <= length:
      raise errors.InputError(
          f'stride is {stride} and length {length}: rows between two windows '
          'would be lost; choose 1 <= stride <= length'
      )
    self.videos = videos
    self._length = length
    self._stride = stride
    self._windows = []
    for video_id, size in enumerate(videos.sizes):
      last = max(size - length, 0) if tail == 'shift' else size
      for start in range(0, max(size - length + stride, 1), stride):
        self._windows.append((video_id, min(start, last)))

  def once(self) -> 'Windows':
    """Returns windows of this length that hold each frame once."""
    return Windows(self.videos, length=self._length, stride=self._length)

  def __len__(self) -> int:
    return len(self._windows)

  def __getitem__(self, index: int) -> dict[str, Any]:
    video_id, start = self._windows[index]
    return self.videos.frames(video_id, start, start + self._length) | {
        'start': np.bool_(start == 0),
        'window_length': np.int32(self._length),
        'real': np.True_,
    }

  def __repr__(self) -> str:
    return (
        f'Windows({self.videos!r}, length={self._length}, '
        f'stride={self._stride}, {len(self)} windows)'
    )
