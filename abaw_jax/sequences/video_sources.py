"""What sources of windows and of stateful videos share."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from abaw_jax.core import fingerprint
from abaw_jax.data import protocol
from abaw_jax.sequences import videos as videos_lib


class VideoSource(protocol.Source):
  """A source of examples that are windows of `videos`."""

  def __init__(self, videos: videos_lib.Videos):
    self.videos = videos
    self.num_bytes = videos.num_bytes
    self.num_held = sum(videos.sizes)

  def fill(
      self, update: Callable[[int], Any], *, num_workers: int, read_threads: int
  ) -> None:
    """Reads all features into memory; see `data.memory.Fillable`."""
    del num_workers, read_threads  # nothing is decoded
    self.videos.fill(update)

  def listed(self, rows: Mapping[str, np.ndarray]) -> protocol.Rows:
    """Returns the predictions of every row of the list; see `Videos.listed`."""
    return self.videos.listed(rows)

  def fingerprints(self) -> dict[str, fingerprint.Fingerprint]:
    """Returns the fingerprint of each feature set, by name."""
    return self.videos.fingerprints()

  def names(self, rows: Mapping[str, np.ndarray]) -> protocol.Rows:
    """Returns the name of the `video` of each row."""
    return {'video': np.array(self.videos.names)[rows['video_id']]}
