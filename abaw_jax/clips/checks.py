"""Checks of the clips before a prediction, and of their tables after it."""

from collections.abc import Sequence
from typing import Any

from abaw_jax import video
from abaw_jax.clips import options as settings
from abaw_jax.core import errors

# Summary of all clips, in the folder of their files.
SUMMARY = 'summary.csv'


def check_sources(
    sources: Sequence[Any], options: settings.Options, with_overlay: bool
) -> None:
  """Raises an InputError if the sources and the options do not go together."""
  for source in sources:
    if source.name == SUMMARY.removesuffix('.csv'):
      raise errors.InputError(
          f'{source.source}: its table would be {SUMMARY}, the summary of all '
          'clips; rename the clip'
      )
    if _is_camera(source):
      if options.duration is None:
        raise errors.InputError(
            f'{source.source}: a camera has no end; give --duration=SECONDS'
        )
      if with_overlay:
        raise errors.InputError(
            f'{source.source}: --overlay reads a clip twice; record the camera to '
            'a file first'
        )
  kind, _, file = options.detector.partition(':')
  if kind == 'csv' and len(sources) > 1 and '{clip}' not in file:
    raise errors.InputError(
        f'--detector={options.detector}: one file of boxes for {len(sources)} '
        'clips; name the file of each clip with {clip}, such as '
        'csv:boxes/{clip}.csv'
    )


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
