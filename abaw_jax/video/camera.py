"""Frames of a camera of this machine."""

from collections.abc import Iterator
import time

import cv2

from abaw_jax.core import errors
from abaw_jax.video import frames


class Camera:
  """A camera, by OpenCV."""

  def __init__(self, source: str):
    """Opens a camera.

    Args:
      source: 'camera:0' is the first one.

    Raises:
      InputError: there is none with this number.
    """
    number = source.removeprefix('camera:')
    if not (number.isascii() and number.isdecimal()):
      raise errors.InputError(f'{source}: no number; the first is camera:0')
    logging = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    self._capture = cv2.VideoCapture(int(number))
    logging.setLogLevel(level)
    if not self._capture.isOpened():
      raise errors.InputError(
          f'{source}: no such camera; try another number, or close the program '
          'that uses it'
      )
    self.frame_rate = self._capture.get(cv2.CAP_PROP_FPS) or None

  def close(self) -> None:
    """Frees the camera."""
    self._capture.release()

  def read(self) -> Iterator[frames.Frame]:
    """Yields frames until the camera ends; times start at 0."""
    index, start = 0, None
    while True:
      is_read, image = self._capture.read()
      if not is_read:
        return
      now = time.monotonic()
      start = now if start is None else start
      image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
      yield frames.Frame(index, now - start, image, False)
      index += 1
