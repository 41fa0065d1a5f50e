"""Decodes a video file packet by packet, so that damage costs few frames."""

import collections
from collections.abc import Iterator
import pathlib
from typing import Any

import numpy as np

from abaw_jax.core import errors
from abaw_jax.video import frames, pyav

# FFmpeg shows any text as a picture of a terminal.
_NO_VIDEOS = {'tty'}
# A reader that fails as often one after the other makes no progress.
_MAX_FAILURES = 100
# A pause is reported if it has this many usual intervals and seconds, and this part
# of all intervals is usual.
_LONG_GAP, _MIN_GAP, _CONSTANT = 5.0, 0.2, 0.8


class VideoFile:
  """An open video file; GIFs are video files.

  Attributes:
    frame_rate: frames per second that the header claims, None if it does not.
    expected_frames: number of frames that the header claims, None likewise.
  """

  def __init__(self, path: pathlib.Path, warnings: list[str]):
    """Opens a file.

    Args:
      path: the file.
      warnings: gets a line for each problem of the content.

    Raises:
      InputError: it is empty, no video, or has no picture track.
    """
    self._av = pyav.load(path)
    self._path = path
    self._warnings = warnings
    if not path.stat().st_size:
      raise errors.InputError(f'{path}: the file is empty; copy it again')
    try:
      self._container = self._av.open(str(path), metadata_errors='ignore')
    except (self._av.FFmpegError, OSError, ValueError) as e:
      raise errors.InputError(
          f'{path}: not a video, or cut off ({pyav.line(e)}); copy it again, or '
          'convert it to MP4 or WebM'
      ) from e
    try:
      self._stream = self._find_stream()
    except errors.InputError:
      self._container.close()
      raise
    self._stream.thread_type = 'AUTO'
    rate = self._stream.average_rate or self._stream.guessed_rate
    self.frame_rate = float(rate) if rate else None
    self.expected_frames = self._expected_frames()

  def close(self) -> None:
    """Closes the file."""
    self._container.close()

  def read(self) -> Iterator[frames.Frame]:
    """Yields all frames that can be decoded.

    Raises:
      InputError: there is none.
    """
    index, last = 0, -np.inf
    gap = (0.0, 0.0)  # the longest, and its start
    intervals = collections.Counter()  # in ms
    unordered = untimed = 0
    for picture in self._pictures():
      timestamp = picture.time
      if timestamp is None:
        untimed += 1
        step = 1 / (self.frame_rate or frames.DEFAULT_RATE)
        timestamp = last + step if index else 0.0
      if index:
        unordered += timestamp <= last
        gap = max(gap, (timestamp - last, last))
        intervals[round(1000 * (timestamp - last))] += 1
      last = max(last, timestamp)
      image = picture.to_ndarray(format='rgb24')
      # PyAV gives the angle of the turn that makes the picture upright.
      if turns := round(picture.rotation / 90) % 4:
        image = np.ascontiguousarray(np.rot90(image, turns))
      yield frames.Frame(index, timestamp, image, bool(picture.is_corrupt))
      index += 1
    if not index:
      raise errors.InputError(
          f'{self._path}: no frame can be decoded; copy the file again'
      )
    self._report_gaps(intervals, last, gap)
    if untimed:
      self._warnings.append(
          f'{untimed} frames have no timestamp; computed from the frame rate'
      )
    if unordered:
      self._warnings.append(
          f'{unordered} timestamps are not above the one before'
      )

  def _report_gaps(
      self,
      intervals: collections.Counter[int],
      last: float,
      gap: tuple[float, float],
  ) -> None:
    """Warns if many frames are missing in the middle or at the end.

    The number of frames in the header is not used: it is often wrong. A pause in a
    clip of a variable rate is none of its problems.
    """
    if not intervals:
      return
    usual = intervals.most_common(1)[0][0]
    near = sum(intervals[usual + i] for i in (-1, 0, 1))
    is_constant = near >= _CONSTANT * intervals.total()
    long = max(_LONG_GAP * usual / 1000, _MIN_GAP)
    length, start = gap
    if is_constant and length > long:
      self._warnings.append(
          f'no frames from {start:.2f} to {start + length:.2f} s'
      )
    end = self._duration()
    if end and end - last > long:
      self._warnings.append(
          f'the last frame is at {last:.2f} s; the header claims {end:.2f} s'
      )

  def _duration(self) -> float | None:
    """Returns the end in seconds that the header claims for the pictures."""
    # Some formats count from 0, others from the first frame: a late start hides a
    # missing end, but no complete clip is blamed.
    if self._stream.duration:
      return float(self._stream.duration * self._stream.time_base)
    # That of the file may be the end of the sound.
    if self._container.duration and len(self._container.streams) == 1:
      return self._container.duration / self._av.time_base
    return None

  def _find_stream(self) -> Any:
    cover = self._av.stream.Disposition.attached_pic
    streams = [
        stream
        for stream in self._container.streams.video
        if not stream.disposition & cover
    ]
    if not streams or self._container.format.name in _NO_VIDEOS:
      kinds = sorted({stream.type for stream in self._container.streams})
      raise errors.InputError(
          f'{self._path}: no video in it, only {" and ".join(kinds) or "a header"}; '
          'give a file with pictures'
      )
    best = self._container.streams.best('video')
    return best if best in streams else streams[0]

  def _expected_frames(self) -> int | None:
    """Returns the number in the header, or duration times frame rate."""
    if self._stream.frames:
      return self._stream.frames
    if self._container.duration and self.frame_rate:
      seconds = self._container.duration / self._av.time_base
      return max(round(seconds * self.frame_rate), 1)
    return None

  def _pictures(self) -> Iterator[Any]:
    """Yields decoded pictures; counts the packets that cannot be decoded."""
    lost = 0
    for packet in self._packets():
      try:
        yield from packet.decode()
      except self._av.FFmpegError:
        lost += 1
    if lost:
      self._warnings.append(f'{lost} damaged packets could not be decoded')

  def _packets(self) -> Iterator[Any]:
    """Yields all packets, and continues after a part that cannot be read."""
    failures = 0
    while True:
      try:
        for packet in self._container.demux(self._stream):
          failures = 0
          yield packet
        return
      except self._av.FFmpegError as e:
        failures += 1
        if failures == 1:
          self._warnings.append(f'a part cannot be read ({pyav.line(e)})')
        if failures == _MAX_FAILURES:
          return
