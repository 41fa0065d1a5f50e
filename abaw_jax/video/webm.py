"""Writes videos as VP9 in WebM, which every browser plays."""

import contextlib
import fractions
from typing import Any

import cv2
from jaxtyping import UInt8
import numpy as np

from abaw_jax.core import files, storage_errors
from abaw_jax.video import pyav

# WebM counts milliseconds.
_TIME_BASE = fractions.Fraction(1, 1000)
_OPTIONS = {
    'deadline': 'realtime', 'cpu-used': '8', 'row-mt': '1', 'crf': '32', 'b:v': '0',
}  # fmt: skip


class WebmWriter:
  """Writes frames to a file; a context manager.

  The file gets its name at the end of the block, and only if the block raises no
  exception and added a frame.
  """

  def __init__(self, path: files.Path, frame_rate: float):
    """Prepares a file.

    Args:
      path: file to create or replace.
      frame_rate: frames per second for the encoder; timestamps decide when a
        player shows a frame.

    Raises:
      InputError: PyAV is not installed.
    """
    self._av = pyav.load(path)
    self._path = path
    self._frame_rate = frame_rate
    self._container = None
    self._last = -1

  def __enter__(self) -> 'WebmWriter':
    with contextlib.ExitStack() as stack:
      self._temporary = stack.enter_context(files.replacing(self._path))
      stack.push(self._finish)
      self._stack = stack.pop_all()
    return self

  def __exit__(self, *error: Any) -> None:
    self._stack.__exit__(*error)

  def add(self, image: UInt8[np.ndarray, 'h w 3'], timestamp: float) -> None:
    """Adds a frame.

    Args:
      image: RGB; all get the size of the first one.
      timestamp: time in seconds at which it appears, above that of the frame
        before; frames are at least 1 ms apart.

    Raises:
      InputError: the file cannot be written.
    """
    with storage_errors.writing(self._path.parent, self._path.name):
      if self._container is None:
        self._open(*image.shape[:2])
      size = self._stream.width, self._stream.height
      if image.shape[1::-1] != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
      picture = self._av.VideoFrame.from_ndarray(image, format='rgb24')
      self._last = max(round(timestamp * 1000), self._last + 1)
      picture.pts, picture.time_base = self._last, _TIME_BASE
      self._container.mux(self._stream.encode(picture))

  def _open(self, height: int, width: int) -> None:
    # Without this option, the file has random ids.
    fixed = {'fflags': '+bitexact'}
    self._container = self._av.open(
        str(self._temporary), 'w', format='webm', options=fixed
    )
    rate = fractions.Fraction(self._frame_rate).limit_denominator(1001)
    self._stream = self._container.add_stream(
        'libvpx-vp9', rate=rate, options=_OPTIONS
    )
    # Colours have half the resolution, so both sizes are even.
    self._stream.width, self._stream.height = width & ~1, height & ~1
    self._stream.pix_fmt = 'yuv420p'
    self._stream.codec_context.time_base = _TIME_BASE
    self._stream.thread_type = 'AUTO'

  def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
    """Ends the file; it keeps its temporary name after an exception."""
    if self._container is None:
      return
    folder, name = self._path.parent, self._path.name
    with storage_errors.writing(folder, name), self._container:
      if kind is None:
        self._container.mux(self._stream.encode())
