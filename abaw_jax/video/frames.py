"""One decoded frame of a clip."""

from typing import NamedTuple

from jaxtyping import UInt8
import numpy as np

# Frames per second of images and of videos that do not say it.
DEFAULT_RATE = 30.0


class Frame(NamedTuple):
  """One frame.

  Attributes:
    index: 0, 1, ... in order of presentation.
    timestamp: time of presentation in seconds; the first one may be above 0.
    image: upright RGB pixels.
    is_corrupt: the decoder repaired damaged data.
  """

  index: int
  timestamp: float
  image: UInt8[np.ndarray, 'h w 3']
  is_corrupt: bool
