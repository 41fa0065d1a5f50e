"""Shoots a video: what happens in it, and a picture of every annotated frame."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import bust as bust_lib
from abaw_jax.data_builders.procedural.rendering import camera, painter, process
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib
from abaw_jax.data_builders.procedural.rendering import scene as scene_lib
from abaw_jax.data_builders.procedural.rendering import video_plan as plan_lib


class Film(NamedTuple):
  """What happens in a video, and its n pictures, uint8 RGB [CROP, CROP, 3]."""

  track: process.Track
  quality: int  # of the camera's JPEG files, 0 to 100
  pictures: Iterator[np.ndarray]


def use_one_core() -> None:
  """Keeps OpenCV to one thread: a process of a pool has one core."""
  cv2.setNumThreads(1)


def shoot(video: plan_lib.Video) -> Film:
  """Returns a video of one person; its pictures are painted one by one."""
  who = identity_lib.sample(np.random.default_rng([*video.key, 0]))
  track = process.simulate(video, who)
  scene = scene_lib.sample(np.random.default_rng([*video.place, 2]))
  return Film(track, scene.quality, _pictures(video, who, track, scene))


def _pictures(
    video: plan_lib.Video,
    who: identity_lib.Identity,
    track: process.Track,
    scene: scene_lib.Scene,
) -> Iterator[np.ndarray]:
  bust = bust_lib.build(who)
  taken = camera.shots(scene, track, np.random.default_rng([*video.key, 4]))
  for i, shot in enumerate(taken):
    units = track.units[i]
    face = face_lib.build(who, units, track.gaze[i], float(track.blink[i]))
    image = painter.paint(bust, face, units, shot.lamp, scene.tint)
    yield camera.take(image, bust.relief.depth, np.array(who.skin), scene, shot)
