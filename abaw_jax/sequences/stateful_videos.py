"""Stateful videos: each batch continues the videos of the batch before it."""

from typing import Any

import numpy as np

from abaw_jax.sequences import video_groups as groups_lib
from abaw_jax.sequences import video_sources
from abaw_jax.sequences import videos as videos_lib


class StatefulVideos(video_sources.VideoSource):
  """Videos that are read window by window, one video in each row of a batch.

  Example i is row i % b of batch i // b. A batch holds one window of each of b
  videos. The next batch holds the next windows of the same videos, so a model can
  carry its hidden state from batch to batch. `start` is True where a new video
  starts. Each host reads the same rows of every batch, so a video stays on its
  host.

  An example is a dict as `Videos.frames` returns it, with `start` and:

  - `window_length`: frames of this window in the longest video of the batch, the
    same in all rows.
  - `real`: False if the row has no video.

  An example has no frames if its video has already ended.
  """

  def __init__(self, videos: videos_lib.Videos, groups: groups_lib.Groups):
    """Keeps the frames of only one batch in memory; groups are of `videos.sizes`."""
    super().__init__(videos)
    self._groups = groups

  def for_training(self, seed: int) -> 'StatefulVideos':
    """Returns the endless examples of training, in the order of a seed."""
    return StatefulVideos(self.videos, self._groups.with_seed(seed))

  def num_examples(self, epochs: float | int) -> int:
    """Returns the rows of all batches in `epochs` epochs, with padding rows."""
    return self._groups.num_steps(epochs) * self._groups.rows

  def __len__(self) -> int:
    """Returns the number of examples in the first epoch."""
    return self.num_examples(1)

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
    return f'StatefulVideos({self.videos!r}, {self._groups.rows} rows)'
