"""Whole videos side by side, read window by window."""

from typing import Any

import numpy as np

from abaw_jax.sequences import video_groups as groups_lib
from abaw_jax.sequences import videos as videos_lib


class Lanes:
  """The rows of batches in which each row follows a video from window to window.

  Example i is row i % b of batch i // b. A batch is the window of a group of b
  videos that comes after that of the batch before, so a model may carry its state
  on; `start` says where a row begins anew. Hosts take slices of the rows, so a
  video stays where it began.

  An example is a dict as `Videos.frames` returns, with `start`, `window_length`
  (frames of the window up to the end of the group's longest video, the same in
  all rows) and `real`. The row of a video that has ended has no frames; a row
  without a video is not `real` either.

  Attributes:
    videos: what the lanes are over.
  """

  def __init__(self, videos: videos_lib.Videos, groups: groups_lib.Groups):
    """Makes lanes of one pass over the videos.

    Args:
      videos: at most the frames of one batch of them are in memory.
      groups: of `videos.sizes`.
    """
    self.videos = videos
    self._groups = groups

  def shuffled(self, seed: int) -> 'Lanes':
    """Returns the endless lanes of training, whose order the seed gives."""
    return Lanes(self.videos, self._groups.with_seed(seed))

  def num_updates(self, epochs: float | int) -> int:
    """Returns the batches of so many epochs, exactly."""
    return self._groups.num_steps(epochs)

  def __len__(self) -> int:
    """Returns the rows of one epoch, the first."""
    return self.num_updates(1) * self._groups.rows

  def __getitem__(self, index: int) -> dict[str, Any]:
    update, row = divmod(index, self._groups.rows)
    step = self._groups.step(update)
    video_id = step.videos[row]
    real = video_id >= 0
    if real:
      example = self.videos.frames(
          video_id,
          step.start,
          step.start + step.length,
          padded=step.longest,
      )
    else:
      example = self.videos.no_frames()
    return example | {
        'start': np.bool_(step.start == 0),
        'window_length': np.int32(step.length),
        'real': np.bool_(real),
    }

  def __repr__(self) -> str:
    return f'Lanes({self.videos!r}, {self._groups.rows} rows)'
