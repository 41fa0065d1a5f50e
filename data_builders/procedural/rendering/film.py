"""Renders a video: its labels and a picture of every annotated frame."""

from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import itertools
import multiprocessing
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from abaw_jax.core import failures
from abaw_jax.data_builders.procedural.rendering import bust as bust_lib
from abaw_jax.data_builders.procedural.rendering import (
    camera,
    dynamics,
    painter,
)
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib
from abaw_jax.data_builders.procedural.rendering import scene as scene_lib
from abaw_jax.data_builders.procedural.rendering import video_plan as plan_lib

Result = TypeVar('Result')


class Film(NamedTuple):
  """The track of a video and its n pictures, uint8 RGB [CROP, CROP, 3]."""

  track: dynamics.Track
  quality: int  # JPEG quality of the camera, 0 to 100
  pictures: Iterator[np.ndarray]


def run_jobs(
    render: Callable[..., Result], jobs: Sequence[tuple], workers: int
) -> Iterator[Result]:
  """Yields `render(*job)` for each job in order, from `workers` processes."""
  if workers == 1:
    yield from itertools.starmap(render, jobs)
    return
  pool = concurrent.futures.ProcessPoolExecutor(
      workers,
      mp_context=multiprocessing.get_context('spawn'),
      initializer=_use_one_core,
  )
  try:
    with failures.hide_ctrl_c_from_workers():
      results = pool.map(render, *zip(*jobs, strict=True))
    yield from results
  finally:
    pool.shutdown(cancel_futures=True)


def _use_one_core() -> None:
  """Limits OpenCV to one thread, because each worker has one core."""
  cv2.setNumThreads(1)


def shoot(video: plan_lib.Video, acted: np.ndarray | None = None) -> Film:
  """Returns a video of one person; its pictures are rendered one by one.

  Args:
    video: plan of the video.
    acted: [k, len(emotion.AUS)] intensities that replace the face of the first
      k frames; the labels do not change.
  """
  who = identity_lib.sample(np.random.default_rng([*video.person, 0]))
  if video.domain == 'synthetic':
    who = identity_lib.retouched(who)
  track = dynamics.simulate(video, who)
  if acted is not None:
    track.units[: len(acted)] = acted
    track.blink[: len(acted)] = 0
  rng = np.random.default_rng([*video.place, 2])
  scene = scene_lib.sample(rng, video.domain)
  return Film(track, scene.quality, _pictures(video, who, track, scene))


def _pictures(
    video: plan_lib.Video,
    who: identity_lib.Identity,
    track: dynamics.Track,
    scene: scene_lib.Scene,
) -> Iterator[np.ndarray]:
  bust = bust_lib.build(who)
  taken = camera.shots(scene, track, np.random.default_rng([*video.key, 4]))
  for i, shot in enumerate(taken):
    units = track.units[i]
    face = face_lib.build(who, units, track.gaze[i], float(track.blink[i]))
    image = painter.paint(bust, face, units, shot.lamp, scene.tint)
    yield camera.take(image, bust.relief.depth, np.array(who.skin), scene, shot)
