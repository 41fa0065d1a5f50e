"""Writes a corpus to disk in the layout of s-Aff-Wild2."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import pathlib
import shutil
import time

import cv2
import numpy as np
import tqdm

from abaw_jax import errors
from data_builders.procedural import bust as bust_lib
from data_builders.procedural import camera, painter, process
from data_builders.procedural import face as face_lib
from data_builders.procedural import identity as identity_lib
from data_builders.procedural import plan as plan_lib
from data_builders.procedural import scene as scene_lib

VERSION = 1
HEADER = 'image,valence,arousal,expression,aus'
CARD = 'corpus.json'  # written last: its presence means the corpus is whole
DRAFT = 'corpus.unfinished.json'
LISTS = {
    'train': 'training_set_annotations.txt',
    'validation': 'validation_set_annotations.txt',
    'test': 'hidden_test_labels/test_set_annotations.txt',
}
TEST_LIST = 'test_set/MTL_Challenge_test_set_release.txt'
IMAGES = {
    'train': 'cropped_aligned',
    'validation': 'cropped_aligned',
    'test': 'test_set/cropped_aligned',
}


@dataclasses.dataclass(frozen=True)
class Rendered:
  """One finished video: its annotation lines and the seconds it took."""

  lines: tuple[str, ...]
  frames: int
  seconds: float


def _lines(video: plan_lib.Video, track: process.Track) -> tuple[str, ...]:
  """Returns the annotation lines of a video, repeated rows included."""
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
  """Returns the annotations of a video after writing its images under `out`."""
  cv2.setNumThreads(1)
  start = time.process_time()
  who = identity_lib.sample(np.random.default_rng([*video.key, 0]))
  track = process.simulate(video, who)
  scene = scene_lib.sample(np.random.default_rng([*video.place, 2]))
  bust = bust_lib.build(who)
  taken = camera.shots(scene, track, np.random.default_rng([*video.key, 4]))
  folder = out / IMAGES[video.split] / video.name
  folder.mkdir(parents=True)
  for i, shot in enumerate(taken):
    units = track.units[i]
    face = face_lib.build(who, units, track.gaze[i], float(track.blink[i]))
    image = painter.paint(bust, face, units, shot.lamp, scene.tint)
    picture = camera.take(
        image, bust.relief.depth, np.array(who.skin), scene, shot
    )
    path = folder / f'{track.frame_id[i]:05d}.jpg'
    path.write_bytes(camera.encode(picture, scene.quality))
  return Rendered(
      lines=_lines(video, track),
      frames=len(taken),
      seconds=time.process_time() - start,
  )


def _prepare(out: pathlib.Path, card: dict) -> bool:
  """Returns whether `out` still has to be rendered; clears a broken start."""
  if (out / CARD).exists():
    try:
      found = json.loads((out / CARD).read_text())
    except json.JSONDecodeError as error:
      raise errors.InputError(
          f'{out / CARD}: is no JSON ({error}); remove the folder {out}'
      ) from error
    if all(found.get(key) == value for key, value in card.items()):
      return False
    raise errors.InputError(
        f'{out / CARD}: holds another corpus ({found.get("args")}); choose'
        ' another --out or remove that folder'
    )
  if out.is_file():
    raise errors.InputError(f'--out={out} is a file; name a folder')
  if out.exists() and any(out.iterdir()):
    if not (out / DRAFT).exists():
      raise errors.InputError(
          f'--out={out} is not empty and holds no corpus; name a new folder'
      )
    for name in ('cropped_aligned', 'test_set', 'hidden_test_labels'):
      shutil.rmtree(out / name, ignore_errors=True)
  out.mkdir(parents=True, exist_ok=True)
  (out / DRAFT).write_text(json.dumps(card))
  return True


def write(
    out: pathlib.Path, *, videos: int, frames: int, seed: int, workers: int
) -> str:
  """Returns one line about the corpus under `out`, rendered where it is not.

  Args:
    out: a new folder, one with the same corpus, or an interrupted one.
    videos: number of videos over all splits.
    frames: mean number of annotated frames per video.
    seed: of everything; the files depend on it, not on `workers`.
    workers: processes that render.

  Raises:
    InputError: if `out` holds anything else, or a number is out of range.
  """
  plan = plan_lib.make(videos, frames, seed)
  card = {
      'version': VERSION,
      'args': {'videos': videos, 'frames': frames, 'seed': seed},
  }
  if not _prepare(out, card):
    return f'{out} already holds this corpus; nothing to do'
  done: dict[str, Rendered] = {}
  bar = tqdm.tqdm(
      total=sum(v.frames for v in plan), unit='frame', desc='rendering'
  )
  with (
      bar,
      concurrent.futures.ProcessPoolExecutor(
          workers, mp_context=multiprocessing.get_context('spawn')
      ) as pool,
  ):
    jobs = {pool.submit(render, video, out): video for video in plan}
    for job in concurrent.futures.as_completed(jobs):
      done[jobs[job].name] = job.result()
      bar.update(jobs[job].frames)

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
  card['counts'] = counts
  (out / DRAFT).write_text(json.dumps(card, indent=2) + '\n')
  (out / DRAFT).rename(out / CARD)
  total = sum(r.frames for r in done.values())
  rate = total / max(sum(r.seconds for r in done.values()), 1e-9)
  return (
      f'{out}: {len(plan)} videos, {total} frames,'
      f' {rate:.0f} frames/s per core'
  )
