"""Event files of TensorBoard, written without a thread.

The summary writer of tensorboardX writes in a thread. A full disk ends that
thread, and training would then wait for it forever.
"""

import os
import pathlib
import socket
import sys
import time
from typing import Any

from jaxtyping import UInt8
import numpy as np

from abaw_jax.telemetry import histograms

# tensorboardX imports an installed PyTorch: 2 s and 200 MB. None prevents this.
sys.modules.setdefault('torch', None)
import tensorboardX  # noqa: E402
from tensorboardX.proto import event_pb2, summary_pb2  # noqa: E402

if sys.modules['torch'] is None:
  del sys.modules['torch']


class EventFile:
  """A new event file; `flush` writes the added events to disk."""

  def __init__(
      self,
      folder: pathlib.Path,
      *,
      purge_step: int | None,
      max_bytes: int | None = None,
  ):
    """Creates a file in `folder`.

    Args:
      folder: folder of all event files of a run; created if it is missing.
      purge_step: TensorBoard hides the events of earlier files from this step
        on; None hides nothing.
      max_bytes: size after which the events go to a further file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    origin = f'{socket.gethostname()}.{os.getpid()}'
    self._stem = folder / f'events.out.tfevents.{time.time():.0f}.{origin}'
    self._max_bytes = max_bytes
    self._number = 0
    self._open()
    if purge_step is not None:
      start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
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
    """Adds an image; `encoded` is the same image as PNG."""
    height, width, channels = image.shape
    picture = summary_pb2.Summary.Image(
        height=height,
        width=width,
        colorspace=channels,
        encoded_image_string=encoded,
    )
    self._add_value(step, tag, image=picture)

  def add_histogram(
      self, step: int, tag: str, found: histograms.Histogram
  ) -> None:
    """Adds a histogram, as NumPy arrays."""
    limits = histograms.EDGES[1:].tolist()
    limits[-1] = sys.float_info.max  # the last bin has all larger numbers
    content = summary_pb2.HistogramProto(
        min=float(found.low),
        max=float(found.high),
        num=float(found.counts.sum()),
        sum=float(found.total),
        sum_squares=float(found.squares),
        bucket_limit=limits,
        bucket=found.counts.tolist(),
    )
    self._add_value(step, tag, histo=content)

  def flush(self) -> None:
    """Writes all added events to disk."""
    self._records.flush()
    if self._max_bytes and self._path.stat().st_size > self._max_bytes:
      self._records.close()
      self._number += 1
      self._open()

  def close(self) -> None:
    """Flushes and closes the file."""
    self._records.close()

  def _open(self) -> None:
    suffix = f'.{self._number:04d}' if self._number else ''
    self._path = self._stem.with_name(self._stem.name + suffix)
    self._records = tensorboardX.RecordWriter(os.fspath(self._path))
    self._add(0, file_version='brain.Event:2')

  def _add_value(self, step: int, tag: str, **value: Any) -> None:
    value = summary_pb2.Summary.Value(tag=tag, **value)
    self._add(step, summary=summary_pb2.Summary(value=[value]))

  def _add(self, step: int, **content: Any) -> None:
    event = event_pb2.Event(step=step, wall_time=time.time(), **content)
    self._records.write(event.SerializeToString())
