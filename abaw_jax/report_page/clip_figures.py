"""Figures of predicted clips: the video, and timelines that follow it."""

from collections.abc import Sequence
import pathlib

import numpy as np

from abaw_jax.core import labels
from abaw_jax.report_page import clip_videos, drawing, inputs, parts, timelines

_FACES = 4  # of a clip
_POINTS = 12000  # of all timelines together
_MOST = 4000  # of one timeline
_CURSOR = {
    'type': 'line', 'x0': 0, 'x1': 0, 'y0': 0, 'y1': 1, 'yref': 'paper',
    'line': {'color': drawing.RED, 'width': 2},
}  # fmt: skip


def sections(
    clips: Sequence[inputs.Clip], out: pathlib.Path
) -> list[parts.Section]:
  """Returns a section for each clip; long videos are written next to `out`."""
  tracks = [_tracks(clip) for clip in clips]
  count = sum(min(len(faces), _FACES) for faces in tracks)
  points = min(_MOST, _POINTS // max(count, 1))
  videos = clip_videos.Videos(out)
  return [
      _section(clip, faces, videos.add(clip, f'video{i}'), points)
      for i, (clip, faces) in enumerate(zip(clips, tracks, strict=True))
  ]


def _section(
    clip: inputs.Clip,
    faces: dict[int, timelines.Track],
    video: parts.Video | parts.Note,
    points: int,
) -> parts.Section:
  items: list[parts.Part] = [video]
  if not faces:
    items.append(parts.Note('No face was found in this clip.'))
    return parts.Section(f'Clip {clip.name}', items)
  items.append(_summary(clip, faces))
  longest = sorted(faces, key=lambda face: (-len(faces[face].time), face))
  for face in sorted(longest[:_FACES]):
    track, stride = timelines.thin(faces[face], points)
    traces, plot, height = timelines.draw(_with_gaps(track), 'seconds')
    is_video = isinstance(video, parts.Video)
    if is_video:
      plot['shapes'] = [_CURSOR]
    rows = len(faces[face].time)
    caption = f'{rows:,} rows. The heat map has the probabilities of the AUs.'
    if stride > 1:
      caption += f' Each point is the mean of {stride} rows.'
    items.append(
        parts.Figure(
            f'Face {face} of {clip.name}', caption, traces, plot, height,
            wide=True, video=video.id if is_video else '',
        )
    )  # fmt: skip
  if longest[_FACES:]:
    hidden = ', '.join(map(str, sorted(longest[_FACES:])))
    items.append(
        parts.Note(
            f'The {_FACES} faces with the most rows have a timeline; without '
            f'one: {hidden}. The table has all faces.'
        )
    )
  return parts.Section(f'Clip {clip.name}', items)


def _tracks(clip: inputs.Clip) -> dict[int, timelines.Track]:
  """Returns the values of each face by its number."""
  table = clip.table
  faces = table['face_id']
  expressions = [k for k in table if k.startswith('expr_')]
  found = {}
  for face in np.unique(faces[np.isfinite(faces)]):
    at = faces == face
    found[int(face)] = timelines.Track(
        table['timestamp'][at],
        table['valence'][at] if 'valence' in table else None,
        table['arousal'][at] if 'arousal' in table else None,
        {k.removeprefix('expr_'): table[k][at] for k in expressions},
        {k: table[k][at] for k in labels.AU_NAMES if k in table},
    )
  return found


def _summary(
    clip: inputs.Clip, faces: dict[int, timelines.Track]
) -> parts.Table:
  rows = [
      (
          'face', 'rows', 'from', 'to', 'valence', 'arousal',
          'most frequent expression', 'AUs present in half of the rows',
      )
  ]  # fmt: skip
  for face, track in sorted(faces.items()):
    common = '\N{EN DASH}'
    if track.expressions:
      names = list(track.expressions)
      best = np.argmax(np.stack([*track.expressions.values()]), axis=0)
      counts = np.bincount(best, minlength=len(names))
      share = counts.max() / counts.sum()
      common = f'{names[int(counts.argmax())]} ({share:.0%})'
    present = [k for k, v in track.aus.items() if np.mean(v >= 0.5) >= 0.5]
    rows.append(
        (
            str(face),
            f'{len(track.time):,}',
            f'{track.time.min():.2f} s',
            f'{track.time.max():.2f} s',
            _mean(track.valence),
            _mean(track.arousal),
            common,
            ', '.join(present) or '\N{EN DASH}',
        )
    )
  model = clip.schema.get('model', {}).get('name')
  text = 'Means \N{PLUS-MINUS SIGN} standard deviations.'
  if model:
    text += f' Model: {model}.'
  return parts.Table(f'Faces of {clip.name}', rows, text)


def _mean(values) -> str:
  if values is None or np.isnan(values).all():
    return '\N{EN DASH}'
  mean, spread = np.nanmean(values), np.nanstd(values)
  return f'{mean:.3f} \N{PLUS-MINUS SIGN} {spread:.3f}'


def _with_gaps(track: timelines.Track) -> timelines.Track:
  """Returns the track with NaN where the face is away, so that lines end there."""
  steps = np.diff(track.time)
  if not steps.size:
    return track
  usual = np.median(steps)
  after = np.flatnonzero(steps > 3 * usual) + 1
  at = np.repeat(after, 2)
  edges = np.stack([track.time[after - 1] + usual, track.time[after] - usual])

  def widen(values):
    return None if values is None else np.insert(values, at, np.nan)

  return timelines.Track(
      np.insert(track.time, at, edges.T.ravel()),
      widen(track.valence),
      widen(track.arousal),
      {k: widen(v) for k, v in track.expressions.items()},
      {k: widen(v) for k, v in track.aus.items()},
  )
