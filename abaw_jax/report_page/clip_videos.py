"""Videos of clips: in the page while they are small, next to it otherwise."""

import base64
import os
import pathlib
import shutil

import cv2

from abaw_jax import video
from abaw_jax.core import errors
from abaw_jax.report_page import inputs, parts

_EMBEDDED = 2 << 20  # bytes of all videos in the page together
_LONG_SIDE = 480  # pixels of a video that is encoded for the page


class Videos:
  """Adds videos until the page has enough of them; others are files next to it."""

  def __init__(self, out: pathlib.Path):
    """Starts with an empty page.

    Args:
      out: file of the page.
    """
    self._out = out
    self._left = _EMBEDDED

  def add(self, clip: inputs.Clip, name: str) -> parts.Video | parts.Note:
    """Returns the video of a clip, VP9 in WebM, or a note why there is none.

    The overlay video is taken if there is one, else a .webm clip as it is. Other
    clips are encoded with at most 480 pixels on their long side.

    Args:
      clip: of the video.
      name: id of the video in the page.
    """
    stem = clip.name.replace('/', '_')
    companion = self._out.with_name(f'{self._out.stem}.{stem}.webm')
    overlay, source = clip.path('.overlay.webm'), self._source(clip)
    if overlay.is_file():
      path, caption = overlay, f'{clip.name} with its predictions.'
    elif source is None:
      return parts.Note(
          'No video: neither the overlay of abaw-jax predict --overlay nor the '
          'clip of the schema file is there.'
      )
    elif source.suffix.lower() == '.webm' and source.is_file():
      path, caption = source, f'{clip.name}.'
    else:
      end = float(clip.table['timestamp'].max())
      try:
        _encode(source, companion, end)
      except errors.InputError as e:
        return parts.Note(f'No video: {e}')
      path, caption = companion, f'{clip.name}.'
    return parts.Video(name, self._place(path, companion), caption)

  def _source(self, clip: inputs.Clip) -> pathlib.Path | None:
    name = clip.schema.get('clip', {}).get('source')
    if not name or not pathlib.Path(name).exists():
      return None
    return pathlib.Path(name)

  def _place(self, path: pathlib.Path, companion: pathlib.Path) -> str:
    """Returns the address of a video, relative to the page."""
    if path.stat().st_size <= self._left:
      content = path.read_bytes()
      self._left -= len(content)
      if path == companion:
        path.unlink()
      return f'data:video/webm;base64,{base64.b64encode(content).decode()}'
    if path != companion:
      shutil.copyfile(path, companion)
    return os.path.relpath(companion, self._out.parent)


def _encode(source: pathlib.Path, path: pathlib.Path, end: float) -> None:
  """Writes a small VP9 video of a clip up to a time in seconds."""
  with (
      video.open_clip(source) as clip,
      video.WebmWriter(path, clip.frame_rate or 30.0) as writer,
  ):
    for frame in clip:
      if frame.timestamp > end:
        break
      height, width = frame.image.shape[:2]
      scale = min(1.0, _LONG_SIDE / max(height, width))
      size = round(width * scale), round(height * scale)
      small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
      writer.add(small, frame.timestamp)
