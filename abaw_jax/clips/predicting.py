"""Predicts many clips: readers in threads, one loop for the device, and the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import itertools
from typing import Any, NamedTuple

import tqdm

from abaw_jax import video
from abaw_jax.clips import (
    batches,
    checks,
    interleaving,
    outputs,
    reading,
    stage_times,
    tracks,
)
from abaw_jax.clips import options as settings
from abaw_jax.core import files, progress_bars
from abaw_jax.tables import clip_files, rows, summary

# Batches of frames that wait for the device.
_WAITING = 4


class _Start(NamedTuple):
  """The first item of a clip that is predicted."""

  schema: dict[str, Any]


class _Finished(NamedTuple):
  """The only item of a clip whose files are there."""

  schema: dict[str, Any]


class Prediction:
  """Predicts clips into files of a folder.

  Attributes:
    times: of each stage.
    batches: counts faces.
    frames: number of frames that were predicted.
  """

  def __init__(
      self,
      predictor: Any,
      out: files.Path,
      options: settings.Options,
      *,
      jobs: int = 1,
      batch_size: int = 32,
      with_overlay: bool = False,
      overwrite: bool = False,
      say: Callable[[str], None] = tqdm.tqdm.write,
  ):
    """Touches no file.

    Args:
      predictor: a `bundles.Predictor`.
      out: folder of the files.
      options: of the tables.
      jobs: number of clips that are read at the same time.
      batch_size: largest number of faces that the backbone gets at once.
      with_overlay: also write an overlay video of each clip.
      overwrite: predict clips again whose files are there.
      say: prints a line; the default keeps progress bars intact.
    """
    self.times = stage_times.StageTimes()
    self.batches = batches.Batches(
        predictor, options, self.times, batch_size=batch_size
    )
    self.frames = 0
    self._predictor = predictor
    self._layout = rows.Layout.from_predictor(predictor)
    self._out = out
    self._options = options
    self._jobs = jobs
    self._waiting = _WAITING * batch_size
    self._with_overlay = with_overlay
    self._overwrite = overwrite
    self._say = say
    self._problems: dict[str, list[str]] = {}
    self._summaries: dict[str, dict[str, Any]] = {}
    self._outputs: dict[str, outputs.ClipOutput] = {}
    self._schemas: dict[str, dict[str, Any]] = {}

  def run(self, sources: Sequence[Any]) -> list[str]:
    """Predicts clips and writes their files; returns a line for each problem.

    Args:
      sources: of `video.find_clips`.

    Raises:
      InputError: the sources and the options do not go together, or a file cannot
        be written.
    """
    all_sources = sources
    sources = checks.without_overlays(sources, self._out)
    if len(sources) < len(all_sources):
      self._say(
          f'{self._out}: {len(all_sources) - len(sources)} overlay videos are no '
          'clips'
      )
    checks.check_names(sources, self._out)
    checks.check_sources(
        sources, self._options, with_overlay=self._with_overlay
    )
    if self._options.adaptive is not None:
      checks.check_adaptive(self._predictor)
    clip_files.remove_temporary(self._out)
    expected = {
        source.name: checks.expected_frames(source, self._options)
        for source in sources
    }
    total = sum(expected.values()) if all(expected.values()) else None
    with contextlib.ExitStack() as stack:
      stack.callback(self._drop_all)
      bar = stack.enter_context(
          progress_bars.make(desc='predicting', unit='frames', total=total)
      )
      items = interleaving.interleaved(
          sources, self._read, threads=self._jobs, waiting=self._waiting
      )
      stack.enter_context(contextlib.closing(items))
      for source, item in items:
        if isinstance(item, rows.FrameFaces):
          bar.update()
        elif isinstance(item, _Finished) and total:
          bar.total -= expected[source.name]
        self._take(source.name, item)
    found = [self._summaries.get(source.name) for source in sources]
    files.write(
        self._out / checks.SUMMARY, summary.to_csv(list(filter(None, found)))
    )
    return [
        line if line.startswith(source.source) else f'{source.source}: {line}'
        for source in sources
        for line in self._problems[source.name]
    ]

  def report(self, seconds: float) -> list[str]:
    """Returns the speed of each stage as lines.

    Args:
      seconds: from start to end.
    """
    lines = self.times.table(self.frames, seconds) if self.frames else []
    faces, read = self.batches.faces, self.batches.read
    if self._options.adaptive is not None and read:
      spent = self.times.seconds['embed']
      lines.append(
          f'adaptive: the backbone read {read:,} of {faces:,} faces in '
          f'{spent:.1f} s, which saved about {spent * (faces / read - 1):.1f} s'
      )
    return lines

  def _read(self, source: Any) -> Iterator[Any]:
    """Yields the items of a clip; runs in a thread."""
    schema = self._make_schema(source)
    if not self._overwrite:
      before = self._files(source.name).check(schema)
      if before is not None:
        yield _Finished(before)
        return
    options = self._options
    crop = reading.make_crop(self._predictor, options)
    with video.open_clip(source, frame_rate=options.image_rate) as clip:
      schema['clip']['frame_rate'] = clip.frame_rate
      schema['clip']['warnings'] = clip.warnings
      yield _Start(schema)
      tracker = reading.make_tracker(options, source.name, clip.frame_rate)
      yield from reading.read_faces(clip, tracker, crop, options, self.times)

  def _take(self, name: str, item: Any) -> None:
    """Processes one item of a clip."""
    match item:
      case _Start():
        self._schemas[name] = item.schema
      case _Finished():
        self._end(name, self._files(name).read_summary(), item.schema)
        self._say(f'{name}: finished before')
      case rows.FrameFaces():
        self._add(name, item)
      case interleaving.End(error=None):
        if name in self._schemas:
          self._finish(name)
      case interleaving.End():
        self._problems[name] = [str(item.error)]
        if name in self._outputs:
          output = self._outputs.pop(name)
          self.batches.drop(output.tracks)
          output.drop()

  def _add(self, name: str, frame: rows.FrameFaces) -> None:
    if name not in self._outputs:
      self._outputs[name] = self._open(name)
    self.frames += 1
    if self.batches.add(self._outputs[name].tracks, frame):
      self.batches.run()
      for output in self._outputs.values():
        output.advance()

  def _open(self, name: str) -> outputs.ClipOutput:
    source = self._schemas[name]['clip']['source']
    clip_tracks = tracks.ClipTracks(
        self._predictor,
        self._layout,
        patience=reading.MAX_GAP,
    )
    return outputs.ClipOutput(
        clip_tracks,
        self._files(name),
        self._layout,
        self._options,
        self.times,
        overlay_of=source if self._with_overlay else None,
    )

  def _finish(self, name: str) -> None:
    """Writes the rest of a clip, and gives its files their names."""
    schema = self._schemas.pop(name)
    if name not in self._outputs:
      self._problems[name] = ['no frame can be read; replace the file']
      return
    output = self._outputs[name]
    self.batches.end(output.tracks)
    found = output.finish(schema)
    del self._outputs[name]
    self._end(name, found, schema)
    self._say(
        f'{self._files(name).path("csv")}: {found["frames"]:,} frames, '
        f'{len(found["faces"])} faces'
    )

  def _end(
      self, name: str, found: dict[str, Any], schema: dict[str, Any]
  ) -> None:
    """Notes the summary of a clip that has a table."""
    self._summaries[name] = found
    self._problems[name] = checks.problems(found, schema)

  def _drop_all(self) -> None:
    for output in self._outputs.values():
      output.drop()

  def _files(self, name: str) -> clip_files.ClipFiles:
    return clip_files.ClipFiles(self._out, name)

  def _make_schema(self, source: Any) -> dict[str, Any]:
    suffixes = outputs.TABLE
    if self._with_overlay:
      suffixes = (*suffixes, outputs.OVERLAY)
    return clip_files.make_schema(
        clip={
            'name': source.name,
            'source': str(source.source),
            'sha256': clip_files.checksum(source.source),
        },
        model=self._predictor.info,
        options=self._options.to_json(),
        suffixes=suffixes,
    )


def batch_sizes(largest: int) -> tuple[int, ...]:
  """Returns sizes of batches up to the largest, of which few are compiled."""
  return (*itertools.takewhile(lambda x: x < largest, (1, 4, 16, 64)), largest)
