"""Writes a corpus of videos in the layout of s-Aff-Wild2."""

import dataclasses
import pathlib
import time

import numpy as np

from abaw_jax.core import progress_bars
from abaw_jax.data_builders.procedural import alignment
from abaw_jax.data_builders.procedural import card as card_lib
from abaw_jax.data_builders.procedural.rendering import camera, dynamics, film
from abaw_jax.data_builders.procedural.rendering import video_plan as plan_lib

VERSION = 1
HEADER = 'image,valence,arousal,expression,aus'
LISTS = {
    'train': 'training_set_annotations.txt',
    'validation': 'validation_set_annotations.txt',
    'test': 'hidden_test_labels/test_set_annotations.txt',
}
TEST_LIST = 'test_set/MTL_Challenge_test_set_release.txt'
FOLDERS = ('cropped_aligned', 'test_set', 'hidden_test_labels')
IMAGES = {
    'train': 'cropped_aligned',
    'validation': 'cropped_aligned',
    'test': 'test_set/cropped_aligned',
}


@dataclasses.dataclass(frozen=True)
class Rendered:
  """A finished video: its annotation lines, frames and CPU seconds."""

  lines: tuple[str, ...]
  frames: int
  seconds: float


def _lines(video: plan_lib.Video, track: dynamics.Track) -> tuple[str, ...]:
  """Returns the annotation lines of a video, with its repeated rows."""
  lines = []
  for i, frame in enumerate(track.frame_id.tolist()):
    va, expression, au = track.labelled[i].tolist()
    values = [
        f'{video.name}/{frame:05d}.jpg',
        f'{track.valence[i]:.3f}' if va else '-5',
        f'{track.arousal[i]:.3f}' if va else '-5',
        str(track.expression[i] if expression else -1),
        *(str(unit if au else -1) for unit in track.au[i].tolist()),
    ]
    lines.append(','.join(values))
  rng = np.random.default_rng([*video.key, 3])
  again = np.sort(rng.choice(len(lines), video.repeated, replace=False))
  for i in again[::-1].tolist():
    lines.insert(i + 1, lines[i])
  return tuple(lines)


def render(video: plan_lib.Video, out: pathlib.Path) -> Rendered:
  """Writes the images of a video to `out`; returns its annotations."""
  start = time.process_time()
  shot = film.shoot(video)
  folder = out / IMAGES[video.split] / video.name
  folder.mkdir(parents=True)
  frame_ids = shot.track.frame_id.tolist()
  for frame_id, picture in zip(frame_ids, shot.pictures, strict=True):
    path = folder / f'{frame_id:05d}.jpg'
    path.write_bytes(camera.encode(picture, shot.quality))
  return Rendered(
      lines=_lines(video, shot.track),
      frames=len(frame_ids),
      seconds=time.process_time() - start,
  )


def write(
    out: pathlib.Path,
    *,
    videos: int,
    frames: int,
    seed: int,
    workers: int,
    domain: str = 'photo',
) -> str:
  """Renders the corpus in `out` unless it is complete; returns a line about it.

  Args:
    out: a new folder, a folder with the same corpus, or an interrupted corpus.
    videos: number of videos in all splits.
    frames: mean number of annotated frames per video.
    seed: random seed; the files depend on it, not on `workers`.
    workers: processes that render.
    domain: one of scene.DOMAINS.

  Raises:
    InputError: `out` has other content, or a number is out of range.
  """
  plan = plan_lib.make(videos, frames, seed, domains=plan_lib.in_domain(domain))
  card = {
      'version': VERSION,
      'args': {'videos': videos, 'frames': frames, 'seed': seed},
  }
  if domain != 'photo':
    card['args']['domain'] = domain
  if not card_lib.prepare(out, card, FOLDERS):
    return f'{out} already contains this corpus; nothing to do'
  done: dict[str, Rendered] = {}
  with progress_bars.make(
      total=sum(v.frames for v in plan), unit='frames', desc='rendering'
  ) as bar:
    jobs = [(video, out) for video in plan]
    for video, rendered in zip(
        plan, film.run_jobs(render, jobs, workers), strict=True
    ):
      done[video.name] = rendered
      bar.update(video.frames)

  counts = {}
  for split, name in LISTS.items():
    members = [v for v in plan if v.split == split]
    lines = [line for v in members for line in done[v.name].lines]
    path = out / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('\n'.join([HEADER, *lines]) + '\n')
    if split == 'test':
      listed = [line.split(',')[0] + ',' for line in lines]
      (out / TEST_LIST).write_text('\n'.join(['image,', *listed]) + '\n')
    counts[split] = {
        'videos': [v.name for v in members],
        'rows': len(lines),
        'frames': sum(done[v.name].frames for v in members),
    }
  alignment.write(out, domain)
  card['counts'] = counts
  card_lib.finish(out, card)
  total = sum(r.frames for r in done.values())
  rate = total / max(sum(r.seconds for r in done.values()), 1e-9)
  return (
      f'{out}: {len(plan)} videos, {total} frames,'
      f' {rate:.0f} frames/s per core'
  )
