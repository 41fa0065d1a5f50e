"""Event files of TensorBoard, written at once and by nobody else's thread.

The writer of tensorboardX hands events to a thread, which a full disk kills;
training would then wait forever for it to take the next one.
"""

import contextlib
import pathlib
import sys
import time
import types
from typing import Any

from jaxtyping import UInt8
import numpy as np


class EventFile:
  """A new event file; what has been added is on disk once flushed."""

  def __init__(self, folder: pathlib.Path, *, purge_step: int | None):
    """Opens a file in `folder`.

    Args:
      folder: folder of all event files of a run; made if needed.
      purge_step: TensorBoard hides what earlier files have from this step on;
        None hides nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    self._protos = _tensorboardx()
    self._file = self._protos.event_file_writer.EventsWriter(
        str(folder / 'events')
    )
    if purge_step is not None:
      start = self._protos.SessionLog(status=self._protos.SessionLog.START)
      self._add(purge_step, session_log=start)

  def add_scalar(self, step: int, tag: str, value: float | int) -> None:
    """Adds a number."""
    self._add_value(step, tag, simple_value=value)

  def add_png(
      self,
      step: int,
      tag: str,
      image: UInt8[np.ndarray, 'h w 3'],
      encoded: bytes,
  ) -> None:
    """Adds an image that is encoded as PNG already."""
    height, width, channels = image.shape
    picture = self._protos.Summary.Image(
        height=height,
        width=width,
        colorspace=channels,
        encoded_image_string=encoded,
    )
    self._add_value(step, tag, image=picture)

  def flush(self) -> None:
    """Writes what was added to disk."""
    self._file.flush()

  def close(self) -> None:
    """Flushes and closes the file."""
    # Its own `close` leaves the file open where the flush fails.
    with contextlib.closing(self._file._py_recordio_writer):
      self._file.flush()

  def _add_value(self, step: int, tag: str, **value: Any) -> None:
    value = self._protos.Summary.Value(tag=tag, **value)
    self._add(step, summary=self._protos.Summary(value=[value]))

  def _add(self, step: int, **what: Any) -> None:
    event = self._protos.Event(step=step, wall_time=time.time(), **what)
    self._file.write_event(event)


def _tensorboardx() -> types.SimpleNamespace:
  """Returns parts of tensorboardX, without the PyTorch that it would load.

  Nothing here needs PyTorch, which takes seconds to import.
  """
  hide = 'torch' not in sys.modules
  if hide:
    sys.modules['torch'] = None  # makes `import torch` an ImportError
  try:
    from tensorboardX import event_file_writer
    from tensorboardX.proto import event_pb2, summary_pb2
  finally:
    if hide:
      del sys.modules['torch']
  return types.SimpleNamespace(
      event_file_writer=event_file_writer,
      Event=event_pb2.Event,
      SessionLog=event_pb2.SessionLog,
      Summary=summary_pb2.Summary,
  )
