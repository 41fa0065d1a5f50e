"""The files of one clip, from the rows of its faces."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
from typing import Any

from abaw_jax.clips import options as settings
from abaw_jax.clips import overlay, stage_times, tracks
from abaw_jax.tables import clip_files, columns, gaps, rows

TABLE = ('csv', 'parquet', 'summary.json')
OVERLAY = 'overlay.webm'


class ClipOutput:
  """Takes complete rows from the tracks of a clip and writes them.

  Attributes:
    tracks: of the faces of the clip.
  """

  def __init__(
      self,
      clip_tracks: tracks.ClipTracks,
      paths: clip_files.ClipFiles,
      layout: rows.Layout,
      options: settings.Options,
      times: stage_times.StageTimes,
      *,
      overlay_of: Any = None,
  ):
    """Opens temporary files.

    Args:
      clip_tracks: of the clip.
      paths: of the files to write.
      layout: of the predictions.
      options: of the prediction.
      times: gets the time of writing.
      overlay_of: source of the clip, for an overlay video; None = write none.
    """
    self.tracks = clip_tracks
    self._times = times
    self._gaps = gaps.GapFilling(options.interpolate)
    self._writer = clip_files.TableWriter(
        paths,
        layout,
        columns.make_columns(
            layout,
            adaptive=options.adaptive is not None,
            interpolate=options.interpolate > 0,
        ),
        others=() if overlay_of is None else (OVERLAY,),
    )
    self._overlay = None
    if overlay_of is not None:
      self._overlay = overlay.OverlayWriter(
          overlay_of, self._writer.temporary(OVERLAY), layout, times
      )

  def advance(self) -> None:
    """Writes the rows that are complete."""
    self._write(self._gaps.push(self.tracks.take()))

  def finish(self, schema: dict[str, Any]) -> dict[str, Any]:
    """Writes the other rows and gives the files their names.

    Args:
      schema: of `clip_files.make_schema`.

    Returns:
      The summary of the clip.
    """
    self.advance()
    assert not self.tracks.waiting, 'the model returned no row for some faces'
    self._write(self._gaps.finish())
    if self._overlay is not None:
      self._overlay.finish()
    with self._times.measure('write'):
      return self._writer.finish(schema)

  def drop(self) -> None:
    """Removes the temporary files."""
    with contextlib.ExitStack() as stack:
      stack.enter_context(self._writer)
      if self._overlay is not None:
        self._overlay.stop()

  def _write(self, frames: Sequence[rows.FrameRows]) -> None:
    if not frames:
      return
    with self._times.measure('write'):
      self._writer.write(frames)
    if self._overlay is not None:
      self._overlay.write(frames)
