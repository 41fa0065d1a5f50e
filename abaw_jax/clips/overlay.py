"""Writes the overlay video of a clip in a thread of its own."""

from collections.abc import Sequence
import queue
import threading
from typing import Any

from abaw_jax import video
from abaw_jax.clips import stage_times
from abaw_jax.core import files
from abaw_jax.tables import painting, rows

# Lists of frames that wait. Each is about one batch of rows, without images.
_WAITING = 8


class OverlayWriter:
  """Draws rows on the frames of a clip, which it decodes again.

  So no image waits for its rows, and the memory stays flat however late a temporal
  model returns them. The file gets its name in `finish`.
  """

  def __init__(
      self,
      source: Any,
      path: files.Path,
      layout: rows.Layout,
      times: stage_times.StageTimes,
  ):
    """Starts the thread.

    Args:
      source: of the clip.
      path: WebM file.
      layout: of the predictions.
      times: gets the time of decoding, drawing and encoding.
    """
    self._source = source
    self._path = path
    self._layout = layout
    self._times = times
    self._error: BaseException | None = None
    self._stopped = threading.Event()
    self._queue: queue.Queue[Sequence[rows.FrameRows] | None] = queue.Queue(
        _WAITING
    )
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def write(self, frames: Sequence[rows.FrameRows]) -> None:
    """Adds frames with their faces; raises an error of the thread."""
    self._put(frames)

  def finish(self) -> None:
    """Waits until the file is complete; raises an error of the thread."""
    self._put(None)
    self._thread.join()
    if self._error is not None:
      raise self._error

  def stop(self) -> None:
    """Ends the thread without a file."""
    self._stopped.set()
    self._thread.join()

  def _put(self, frames: Sequence[rows.FrameRows] | None) -> None:
    while self._error is None:
      try:
        self._queue.put(frames, timeout=0.2)
        return
      except queue.Full:
        continue
    raise self._error

  def _run(self) -> None:
    try:
      self._draw()
    except _StoppedError:
      pass
    except BaseException as e:
      self._error = e

  def _draw(self) -> None:
    with (
        video.open_clip(self._source, frame_rate=1.0) as clip,
        video.WebmWriter(self._path, clip.frame_rate or 30.0) as writer,
    ):
      images = iter(clip)
      painter = None
      for frame in self._frames():
        with self._times.measure('overlay'):
          image = next(x for x in images if x.index == frame.index).image
          if painter is None:
            height, width = image.shape[:2]
            painter = painting.Painter(self._layout, width, height)
          writer.add(painter.paint(image, frame), frame.timestamp)

  def _frames(self):
    """Yields the frames that are written, in order."""
    while True:
      try:
        frames = self._queue.get(timeout=0.2)
      except queue.Empty:
        if self._stopped.is_set():
          raise _StoppedError from None
        continue
      if self._stopped.is_set():
        raise _StoppedError
      if frames is None:
        return
      yield from frames


class _StoppedError(Exception):
  """Raised in the thread when it must leave no file."""
