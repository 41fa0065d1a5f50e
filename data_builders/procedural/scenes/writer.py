"""Writes scenes as WebM clips, with the truth of every frame in a CSV file."""

import csv
import io
import itertools
import pathlib
import time
from typing import Any

from abaw_jax.core import files, labels, progress_bars
from abaw_jax.data_builders.procedural import alignment
from abaw_jax.data_builders.procedural import card as card_lib
from abaw_jax.data_builders.procedural.rendering import dynamics
from abaw_jax.data_builders.procedural.rendering import film as film_lib
from abaw_jax.data_builders.procedural.scenes import filming, plan
from abaw_jax.video import webm

VERSION = 1
POINTS = ('eye_left', 'eye_right', 'nose', 'mouth_left', 'mouth_right')
# A predicted table has the same names for the box, the landmarks and the labels.
PLACE = (
    *('left', 'top', 'right', 'bottom'),
    *(f'{point}_{axis}' for point in POINTS for axis in 'xy'),
)
COLUMNS = (
    'frame',
    'timestamp',
    'shot',
    'person',
    'visible',
    *PLACE,
    'valence',
    'arousal',
    'expression',
    *(f'AU{number:02d}' for number in labels.AU_NUMBERS),
)


def truth_path(clip: pathlib.Path) -> pathlib.Path:
  """Returns the truth file of a clip."""
  return clip.with_suffix('.truth.csv')


def rows(
    frame: int, picture: filming.Picture, tracks: list[dynamics.Track]
) -> list[list[Any]]:
  """Returns the rows of a frame: one for each person of the shot."""
  found = []
  for view in sorted(picture.views):
    track = tracks[view.person]
    place = [f'{v:.2f}' for v in (*view.box, *view.landmarks.ravel())]
    found.append([
        frame,
        f'{frame / dynamics.FPS:.4f}',
        picture.shot,
        view.person,
        f'{view.visible:.3f}',
        *place,
        f'{track.valence[frame]:.3f}',
        f'{track.arousal[frame]:.3f}',
        labels.EXPRESSIONS[track.expression[frame]],
        *track.au[frame].tolist(),
    ])  # fmt: skip
  return found


def render(scene: plan.Scene, out: pathlib.Path) -> float:
  """Writes a clip and its truth to a folder; returns the CPU seconds."""
  start = time.process_time()
  clip = out / f'{scene.name}.webm'
  tracks, pictures = filming.film(scene)
  table = io.StringIO()
  lines = csv.writer(table, lineterminator='\n')
  lines.writerow(COLUMNS)
  with webm.WebmWriter(clip, dynamics.FPS) as writer:
    for frame, picture in enumerate(pictures):
      writer.add(picture.image, frame / dynamics.FPS)
      lines.writerows(rows(frame, picture, tracks))
  files.write(truth_path(clip), table.getvalue())
  return time.process_time() - start


def write(
    out: pathlib.Path,
    *,
    scenes: int,
    seconds: float,
    people: int | None,
    seed: int,
    workers: int,
) -> str:
  """Renders scenes in `out` unless they are complete; returns a line about them.

  Args:
    out: a new folder, a folder with the same scenes, or interrupted scenes.
    scenes: number of clips.
    seconds: length of a clip.
    people: people per clip; None means 1, 2 and 3 in turn.
    seed: random seed; the files depend on it, not on `workers`.
    workers: processes that render.

  Raises:
    InputError: `out` has other content, PyAV is missing, or a number is out of
      range.
  """
  scene_plans = plan.make(scenes, seconds, people, seed)
  args = {'scenes': scenes, 'seconds': seconds, 'people': people, 'seed': seed}
  card = {'version': VERSION, 'args': args}
  if not card_lib.prepare(out, card, ()):
    return f'{out} already contains these scenes; nothing to do'
  total = sum(scene.frames for scene in scene_plans)
  used = 0.0
  with progress_bars.make(total=total, unit='frames', desc='rendering') as bar:
    done = film_lib.run_jobs(
        render, list(zip(scene_plans, itertools.repeat(out))), workers
    )
    for scene, spent in zip(scene_plans, done, strict=True):
      used += spent
      bar.update(scene.frames)
  alignment.write(out)
  card['counts'] = {
      scene.name: {'people': len(scene.cast), 'frames': scene.frames}
      for scene in scene_plans
  }
  card_lib.finish(out, card)
  return f'{out}: {scenes} clips, {total} frames, {total / used:.0f} frames/s per core'
