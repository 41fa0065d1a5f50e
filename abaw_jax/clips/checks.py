"""Checks of the clips before a prediction, and of their tables after it."""

from collections.abc import Sequence
import math
import pathlib
from typing import Any

import numpy as np

from abaw_jax import video
from abaw_jax.clips import options as settings
from abaw_jax.clips import outputs, reading
from abaw_jax.core import errors, files
from abaw_jax.tables import summary

# Summary of all clips, in the folder of their files.
SUMMARY = 'summary.csv'


def without_overlays(
    sources: Sequence[video.Source], out: files.Path
) -> list[video.Source]:
  """Returns the sources that are no overlay videos in the folder `out`."""
  return [
      source
      for source in sources
      if not source.source.endswith(f'.{outputs.OVERLAY}')
      or pathlib.Path(source.source).resolve().parent != files.absolute(out)
  ]


def check_names(sources: Sequence[video.Source], out: files.Path) -> None:
  """Raises an InputError if the summary of all clips would replace another file."""
  path = out / SUMMARY
  if path.exists() and not path.read_text().startswith(summary.START):
    raise errors.InputError(
        f'{path}: is of another program; give another --out, or move the file'
    )
  for source in sources:
    if source.name == SUMMARY.removesuffix('.csv'):
      raise errors.InputError(
          f'{source.source}: its table would be {SUMMARY}, the summary of all '
          'clips; rename the clip'
      )


def check_sources(
    sources: Sequence[video.Source],
    options: settings.Options,
    *,
    with_overlay: bool,
) -> None:
  """Raises an InputError if the sources and the options do not go together.

  Args:
    sources: `video.Source` of each clip.
    options: of the prediction.
    with_overlay: whether there are overlay videos.
  """
  for source in filter(_is_camera, sources):
    if options.duration is None:
      raise errors.InputError(
          f'{source.source}: a camera has no end; give --duration=SECONDS'
      )
    if with_overlay:
      raise errors.InputError(
          f'{source.source}: --overlay reads a clip twice; record the camera to '
          'a file first'
      )
  if '{clip}' in options.detector:
    return  # each clip has its own file
  if options.detector.startswith('csv:') and len(sources) > 1:
    raise errors.InputError(
        f'--detector={options.detector}: one file of boxes for {len(sources)} '
        'clips; name the file of each clip with {clip}, such as '
        'csv:boxes/{clip}.csv'
    )
  reading.make_tracker(options, '')  # its file may be missing


def check_adaptive(predictor: Any) -> None:
  """Raises an InputError if a bundle cannot read few faces.

  Args:
    predictor: a `bundles.Predictor`.
  """
  if 'expression' not in predictor.outputs:
    raise errors.InputError(
        'adaptive: this bundle predicts no expressions; leave it out'
    )
  try:
    predictor.frame_scores(np.zeros([1, predictor.feature_dim], np.float32))
  except errors.InputError as e:
    raise errors.InputError(
        'adaptive: this bundle has a temporal model, which predicts no single '
        'faces; give --frame_rate, or a bundle of the frame model alone'
    ) from e


def _is_camera(source: video.Source) -> bool:
  return source.source.startswith('camera:')


def expected_frames(source: video.Source, options: settings.Options) -> int:
  """Returns about how many frames are read of a clip; 0 = not known."""
  if _is_camera(source):
    return 0
  try:
    with video.open_clip(source, frame_rate=options.image_rate) as clip:
      count, rate = clip.expected_frames or 0, clip.frame_rate
  except errors.InputError:  # its reader reports it
    return 0
  if rate and options.duration is not None:
    count = min(count, math.ceil(options.duration * rate))
  if rate and options.frame_rate is not None:
    count = math.ceil(count * min(options.frame_rate / rate, 1.0))
  return count


def problems(found: dict[str, Any], schema: dict[str, Any]) -> list[str]:
  """Returns a line for each problem of a clip with a table."""
  lines = []
  if not found['frames_with_face']:
    lines.append(
        f'no face in {found["frames"]:,} frames; lower --min_confidence, or look '
        'at the clip'
    )
  if found['corrupt_frames']:
    lines.append(f'{found["corrupt_frames"]:,} frames are damaged')
  return lines + list(schema['clip']['warnings'])
