"""Checks of the clips before a prediction, and of their tables after it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from abaw_jax import video
from abaw_jax.clips import options as settings
from abaw_jax.clips import reading
from abaw_jax.core import errors

# Summary of all clips, in the folder of their files.
SUMMARY = 'summary.csv'


def check_names(sources: Sequence[Any]) -> None:
  """Raises an InputError if a clip would replace the summary of all clips."""
  for source in sources:
    if source.name == SUMMARY.removesuffix('.csv'):
      raise errors.InputError(
          f'{source.source}: its table would be {SUMMARY}, the summary of all '
          'clips; rename the clip'
      )


def check_sources(
    sources: Sequence[Any], options: settings.Options, *, with_overlay: bool
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
  predictor.frame_scores(np.zeros([1, predictor.feature_dim], np.float32))


def _is_camera(source: Any) -> bool:
  return str(source.source).startswith('camera:')


def expected_frames(source: Any) -> int:
  """Returns the number of frames that a clip claims to have; 0 = not known."""
  if _is_camera(source):
    return 0
  try:
    with video.open_clip(source, frame_rate=1.0) as clip:
      return clip.expected_frames or 0
  except errors.InputError:  # its reader reports it
    return 0


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
