"""The Python interface: a loaded bundle that predicts clips, frames and faces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import os
from typing import Any

from jaxtyping import Float32
import numpy as np
import pyarrow as pa

from abaw_jax import video
from abaw_jax.clips import batches, checks, reading, stage_times, tracks
from abaw_jax.clips import options as settings
from abaw_jax.core import errors
from abaw_jax.tables import columns as table_columns
from abaw_jax.tables import gaps, rows

# Options of a stream. The others need later frames or select frames.
_STREAM = ('detector', 'every', 'long_side', 'min_confidence', 'image_rate')


class Model:
  """A bundle that is ready to predict.

  Attributes:
    predictor: the device side, a `bundles.Predictor`.
  """

  def __init__(self, predictor: Any):
    self.predictor = predictor
    self._layout = rows.Layout.from_predictor(predictor)

  def predict(
      self,
      source: str | os.PathLike[str] | np.ndarray,
      *,
      aligned: bool = False,
      batch_size: int = 32,
      **options: Any,
  ) -> pa.Table:
    """Returns the table of a clip: a row for each frame and face, in order.

    `abaw-jax predict` writes the same table; docs/video.md lists its columns.

    Args:
      source: a video, a folder of images, or RGB frames [t, height, width, 3],
        uint8.
      aligned: whether the images are faces that are aligned already.
      batch_size: largest number of faces that the backbone gets at once.
      **options: fields of `options.Options`, such as `every=2`.

    Raises:
      InputError: the clip cannot be read, or an option is wrong.
    """
    chosen = _options(aligned, options)
    if chosen.adaptive is not None:
      checks.check_adaptive(self.predictor)
    times = stage_times.StageTimes()
    with contextlib.ExitStack() as stack:
      if isinstance(source, str | os.PathLike):
        frames = stack.enter_context(
            video.open_clip(
                _find_clip(source, chosen), frame_rate=chosen.image_rate
            )
        )
        name, rate = frames.name, frames.frame_rate
      else:
        name, rate = 'frames', chosen.image_rate
        reading.check_images(source)
        frames = reading.array_frames(source, chosen.image_rate)
      found = reading.read_faces(
          frames,
          reading.make_tracker(chosen, name, rate),
          reading.make_crop(self.predictor, chosen),
          chosen,
          times,
      )
      return table_columns.make_table(
          self._rows(found, chosen, times, batch_size),
          self._layout,
          table_columns.arrow_schema(self.columns(**options)),
      )

  def embed(self, faces: np.ndarray) -> Float32[np.ndarray, 'n d']:
    """Returns the features of aligned faces.

    Args:
      faces: RGB images [n, s, s, 3], uint8.

    Raises:
      InputError: they are none.
    """
    reading.check_images(faces)
    return self.predictor.embed(faces)

  def stream(self, *, aligned: bool = False, **options: Any) -> Stream:
    """Returns a stream: push frames one by one, and get their rows at once.

    Args:
      aligned: whether the images are faces that are aligned already.
      **options: some fields of `options.Options`: detector, every, long_side,
        min_confidence, image_rate.

    Raises:
      InputError: an option is wrong.
    """
    return Stream(self.predictor, _stream_options(aligned, options))

  def columns(self, **options: Any) -> list[table_columns.Column]:
    """Returns the columns of a table, with units, ranges and meanings."""
    chosen = settings.make(options)
    return table_columns.make_columns(
        self._layout,
        adaptive=chosen.adaptive is not None,
        interpolate=chosen.interpolate > 0,
    )

  def _rows(
      self,
      found: Iterable[rows.FrameFaces],
      options: settings.Options,
      times: stage_times.StageTimes,
      batch_size: int,
  ) -> Iterator[rows.FrameRows]:
    """Yields the frames of one clip with their predictions."""
    waiting = batches.Batches(
        self.predictor, options, times, batch_size=batch_size
    )
    clip = tracks.ClipTracks(
        self.predictor,
        self._layout,
        patience=reading.MAX_GAP,
    )
    filling = gaps.GapFilling(options.interpolate)
    for frame in found:
      if waiting.add(clip, frame):
        waiting.run()
        yield from filling.push(clip.take())
    waiting.end(clip)
    yield from filling.push(clip.take())
    yield from filling.finish()


class Stream:
  """Predicts the frames of one camera or clip, as they come.

  Attributes:
    times: of each stage.
  """

  def __init__(self, predictor: Any, options: settings.Options):
    self.times = stage_times.StageTimes()
    self._image_rate = options.image_rate
    self._next = 0
    self._layout = rows.Layout.from_predictor(predictor)
    self._schema = table_columns.arrow_schema(
        table_columns.make_columns(
            self._layout, adaptive=False, interpolate=False
        )
    )
    self._tracker = reading.make_tracker(options, 'stream')
    self._crop = reading.make_crop(predictor, options)
    self._batches = batches.Batches(
        predictor, options, self.times, batch_size=1
    )
    self._tracks = tracks.ClipTracks(
        predictor,
        self._layout,
        patience=reading.MAX_GAP,
        live=True,
    )

  def push(
      self,
      image: np.ndarray,
      timestamp: float | None = None,
  ) -> list[dict[str, Any]]:
    """Returns the rows of the next frame, by column; see `Model.columns`.

    Args:
      image: upright, RGB [height, width, 3], uint8.
      timestamp: in seconds, larger than before; None = from `image_rate`.

    Raises:
      InputError: it is no image.
    """
    reading.check_images(image[None])
    if timestamp is None:
      timestamp = self._next / self._image_rate
    frame = video.Frame(self._next, timestamp, image, False)
    self._next += 1
    found = reading.find_faces(frame, self._tracker, self._crop, self.times)
    self._batches.add(self._tracks, found)
    self._batches.run()
    done = self._tracks.take()
    batch = table_columns.make_batch(done, self._layout, self._schema)
    return batch.to_pylist()


def _find_clip(
    source: str | os.PathLike[str], options: settings.Options
) -> video.Source:
  """Returns the only clip of a path."""
  found = video.find_clips([source])
  if len(found) > 1:
    raise errors.InputError(
        f'{source}: has {len(found)} clips; give one, or use abaw-jax predict'
    )
  checks.check_sources(found, options, with_overlay=False)
  return found[0]


def _options(aligned: bool, options: dict[str, Any]) -> settings.Options:
  if aligned:
    options = options | {'detector': settings.NO_DETECTOR}
  return settings.make(options)


def _stream_options(aligned: bool, options: dict[str, Any]) -> settings.Options:
  settings.check_names(options, _STREAM)
  return _options(aligned, options)
