"""Takes a picture of a head: pose, occlusion, background, blur, noise, JPEG."""

import dataclasses

import cv2
import numpy as np

from abaw_jax.data_builders.procedural.rendering import (
    canvas,
    dynamics,
    occluder,
)
from abaw_jax.data_builders.procedural.rendering import scene as scene_lib

_MESH = 28  # side of the coarse grid on which the pose is solved
_PIVOT = np.array([56.0, 64.0])  # centre of the rotation on the canvas ...
_AIM = np.array([56.0, 60.0])  # ... and in the picture


@dataclasses.dataclass(frozen=True)
class Shot:
  """Pose, light and camera of one frame."""

  pose: np.ndarray  # [3] yaw, pitch, roll in degrees
  shift: np.ndarray  # [2] pixels
  lamp: np.ndarray  # [4], see relief.Relief.shade
  gain: float
  blur: float  # sigma in pixels
  smear: float  # pixels of motion blur to each side
  covered: bool  # whether the occluder of the scene covers the face
  place: np.ndarray  # [2] position of the occluder
  grain: np.ndarray  # int [2] offset into the noise bank


def shots(
    scene: scene_lib.Scene, track: dynamics.Track, rng: np.random.Generator
) -> list[Shot]:
  """Returns the shot of each frame of a track.

  Bad focus, motion, bad exposure and occluders last a fraction of a second, so
  the frames before and after show the hidden part of the face.
  """
  length, at = int(track.frame_id[-1]), track.frame_id - 1
  shift = 0.7 * dynamics.wander(rng, (length, 2), 0.8)[at]
  swing = 0.1 * dynamics.wander(rng, (length, 2), 4.0)[at]
  place = dynamics.wander(rng, (length, 2), 1.5)[at]
  lapses = dynamics.wander(rng, (length, 3), 0.2)[at].T
  dim, focus, hidden = np.zeros_like(lapses) if scene.steady else lapses
  return [
      Shot(
          pose=track.pose[i],
          shift=shift[i],
          lamp=np.add(scene.lamp, (*swing[i], 0.0, 0.0)),
          gain=scene.gain * (0.4 if dim[i] > 1.7 else 1 + 0.04 * dim[i]),
          blur=scene.blur + max(focus[i] - 1.1, 0) * 3.0,
          smear=max(-focus[i] - 1.3, 0) * 8,
          covered=bool(scene.occluder is not None and hidden[i] > 0.8),
          place=place[i],
          grain=rng.integers(scene_lib.NOISE - canvas.CROP, size=2),
      )
      for i in range(len(at))
  ]


def _rotation(pose: np.ndarray) -> np.ndarray:
  yaw, pitch, roll = np.deg2rad(pose)
  cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
  cr, sr = np.cos(roll), np.sin(roll)
  about_y = np.array([(cy, 0, sy), (0, 1, 0), (-sy, 0, cy)])
  about_x = np.array([(1, 0, 0), (0, cp, sp), (0, -sp, cp)])
  about_z = np.array([(cr, -sr, 0), (sr, cr, 0), (0, 0, 1)])
  return about_z @ about_x @ about_y


def _turn(
    image: np.ndarray, depth: np.ndarray, shot: Shot, zoom: float
) -> np.ndarray:
  """Returns the crop [CROP, CROP, 4] of a turned head with the heights `depth`."""
  turn = zoom * _rotation(shot.pose)
  grid = (np.arange(_MESH) + 0.5) * (canvas.CROP / _MESH)
  goal = np.stack(np.meshgrid(grid, grid), -1) - _AIM - shot.shift
  inverse = np.linalg.inv(turn[:2, :2]).T
  origin = _PIVOT + canvas.MARGIN
  edge = cv2.BORDER_REPLICATE
  place = goal @ inverse
  # The rotation R maps a point (x, y, z) of the head into the picture. Two
  # fixed-point iterations solve this for (x, y).
  for _ in range(2):
    at = (place + origin - 0.5).astype(np.float32)
    z = cv2.remap(depth, at, None, cv2.INTER_LINEAR, borderMode=edge)
    place = (goal - z[..., None] * turn[:2, 2]) @ inverse
  source = ((place + origin) * canvas.SCALE - 0.5).astype(np.float32)
  source = cv2.resize(source, (canvas.CROP, canvas.CROP))
  return cv2.remap(image, source, None, cv2.INTER_LINEAR, borderMode=edge)


def take(
    image: np.ndarray,
    depth: np.ndarray,
    skin: np.ndarray,
    scene: scene_lib.Scene,
    shot: Shot,
) -> np.ndarray:
  """Returns the picture, uint8 RGB [CROP, CROP, 3].

  Args:
    image: premultiplied canvas of the frontal head; changed by an occluder.
    depth: [GRID, GRID] heights of the head in crop pixels.
    skin: [3] skin colour, for a hand that covers the face.
    scene: room, light and camera of the video.
    shot: pose, light and camera of this frame.
  """
  if shot.covered:
    occluder.paint(image, scene.occluder, shot.place, skin)
  head = _turn(image, depth, shot, scene.zoom)
  corner = np.rint(canvas.MARGIN - 2 * shot.shift).astype(int)
  dx, dy = np.clip(corner, 0, 2 * canvas.MARGIN).tolist()
  room = scene.backdrop[dy : dy + canvas.CROP, dx : dx + canvas.CROP]
  clear = cv2.merge([cv2.bitwise_not(head[..., 3])] * 3)
  picture = cv2.cvtColor(head, cv2.COLOR_RGBA2RGB)
  picture = cv2.add(picture, cv2.multiply(room, clear, scale=1 / 255))
  if shot.smear > 0.5:
    picture = cv2.blur(picture, (1 + 2 * int(shot.smear), 1))
  if shot.blur > 0.2:
    picture = cv2.GaussianBlur(picture, (0, 0), shot.blur)
  if scene.detail < canvas.CROP:
    small = cv2.resize(picture, (scene.detail,) * 2, None, 0, 0, cv2.INTER_AREA)
    picture = cv2.resize(small, (canvas.CROP,) * 2, None, 0, 0, cv2.INTER_CUBIC)
  gy, gx = shot.grain.tolist()
  grain = scene.bank[gy : gy + canvas.CROP, gx : gx + canvas.CROP]
  return cv2.addWeighted(
      picture, shot.gain, grain, scene.noise, 0, dtype=cv2.CV_8U
  )


def encode(picture: np.ndarray, quality: int) -> bytes:
  """Returns an RGB picture as JPEG."""
  done, data = cv2.imencode(
      '.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
  )
  if not done:
    raise RuntimeError('OpenCV could not encode a JPEG')
  return data.tobytes()
