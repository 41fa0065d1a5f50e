"""Windows of consecutive frames, each an independent example."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from abaw_jax.core import errors
from abaw_jax.sequences import video_sources
from abaw_jax.sequences import videos as videos_lib

LAST_WINDOWS = ('shift', 'short')


class Windows(video_sources.VideoSource):
  """Windows of up to `length` consecutive frames of one video.

  The windows of a video start at its frames 0, stride, 2 stride, ... until they
  cover all frames. With last_window 'short', the last one may be shorter than
  `length`, and stride == length gives each frame once. With 'shift', the last one
  starts earlier, so it is full. A short window would cost as much training time as
  a full one, and the model would not see the frames before it.

  A window is a dict as `Videos.frames` returns it, with `start` (whether it starts
  at the first frame of its video), `window_length` (always `length`) and `real`.
  """

  def __init__(
      self,
      videos: videos_lib.Videos,
      *,
      length: int,
      stride: int,
      last_window: str = 'short',
  ):
    """Plans the windows of videos, whose norm must not be 'batch'.

    Raises:
      InputError: the stride is not from 1 to `length`.
    """
    if not 0 < stride <= length:
      raise errors.InputError(
          f'stride is {stride} and length {length}: frames between two windows '
          'would be lost; choose 1 <= stride <= length'
      )
    super().__init__(videos)
    self._length = length
    self._stride = stride
    windows = []
    for video_id, size in enumerate(videos.sizes):
      last = max(size - length, 0) if last_window == 'shift' else size
      for start in range(0, max(size - length + stride, 1), stride):
        windows.append((video_id, min(start, last)))
    self._windows = np.array(windows)  # video and first frame of each

  def for_evaluation(self) -> 'Windows':
    """Returns windows of the same length that do not overlap."""
    return Windows(self.videos, length=self._length, stride=self._length)

  def batch(
      self, indices: Sequence[int], *, rows: int
  ) -> dict[str, np.ndarray] | None:
    """Returns the batch of some windows, if `Videos.gather` does."""
    video_id, start = self._windows[np.asarray(indices)].T
    found = self.videos.gather(video_id, start, length=self._length, rows=rows)
    if found is None:
      return None
    padding = (0, rows - len(video_id))
    return found | {
        'real': np.arange(rows) < len(video_id),
        'video_id': np.pad(video_id.astype(np.int32), padding),
        'start': np.pad(start == 0, padding),
        'window_length': np.full(rows, self._length, np.int32),
    }

  def __len__(self) -> int:
    return len(self._windows)

  def __getitem__(self, index: int) -> dict[str, Any]:
    video_id, start = self._windows[index].tolist()
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
